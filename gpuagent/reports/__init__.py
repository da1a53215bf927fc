"""Reports for analysts: what was spent, on what, and what of it was wasted. Needs no notebook.

report.py brings it together: rows from MongoDB become frames, frames become figures, charts, tables, exports and one
offline page. pandas and matplotlib come with the extra `reports`; nothing outside this package imports them.
"""
