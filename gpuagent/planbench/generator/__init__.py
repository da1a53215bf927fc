"""Generator of synthetic scenario files: market families, job histories, outages, and exact bounds."""
