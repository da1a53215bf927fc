"""How the tests' workers share what each would else do for itself."""

from tests.support.collecting import TESTS, share


def test_each_module_is_in_the_share_of_one_worker() -> None:
    files = sorted((TESTS / "docs").glob("test_*.py"))
    names = [f"tests.docs.{file.stem}" for file in files]
    shares = [
        share(files, {"PYTEST_XDIST_WORKER_COUNT": "3", "PYTEST_XDIST_WORKER": f"gw{number}"}) for number in range(3)
    ]
    assert [name for each in shares for name in each] == names
    assert all(shares)
    assert share(files, {}) == []
