"""The routes of the REST server, one module for each subject."""
