"""The table of all runs: searched, filtered, sorted and turned in MongoDB, page by page; drawn by own JavaScript."""
