"""The charts of a report as PNG with their figures as alternative text."""
