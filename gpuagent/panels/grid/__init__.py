"""A table that loads its pages on demand; the backend searches, filters and sorts. With JavaScript of its own."""
