"""Checks of an installation and of a vendor's conformance that spend nothing."""
