"""Runs, books and policies as text for a terminal, as JSON, and the colours that charts and panels share."""
