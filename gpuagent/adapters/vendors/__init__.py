"""Vendor adapters: the vendor API over HTTP, strict reading of its answers, and the vendors file."""
