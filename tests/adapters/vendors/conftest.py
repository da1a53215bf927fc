"""One vendor for the tests of files and orders, which begins each test anew."""

from collections.abc import Iterator

import pytest

from tests.support.file_vendor import FileVendor


@pytest.fixture(scope="module")
def shared_file_vendor() -> Iterator[FileVendor]:
    server = FileVendor()
    yield server
    server.close()


@pytest.fixture
def file_vendor(shared_file_vendor: FileVendor) -> FileVendor:
    shared_file_vendor.reset()
    return shared_file_vendor
