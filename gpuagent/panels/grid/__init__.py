"""A table that asks for its pages: searched, filtered, sorted and turned by whoever reads them; own JavaScript."""
