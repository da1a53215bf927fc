"""Adapters of the core's ports, one package each: the only code that touches the outside world."""
