"""The REST server, its live events and its serverless entry point."""
