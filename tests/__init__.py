"""The tests. Their processes do without libraries that take long to import and are not used."""

from tests.support.notebook_path import go_without

go_without()
