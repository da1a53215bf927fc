"""The timeline of the open run, the record of each entry, and another run beside it."""
