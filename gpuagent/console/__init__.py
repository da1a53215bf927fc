"""The console as a page without Jupyter: a server by voila, and a process for each visitor that holds what it may."""
