"""Stands on the path before the library of this name, as if that were not installed.

jsonschema takes it, where it is there, for the two formats of internationalized addresses, which no schema here has.
To import it is to build a grammar: 1.4 s of a processor in every process that opens a notebook.
"""

raise ImportError(__doc__)
