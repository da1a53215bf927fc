"""Runs the checks that are named, and prints of each whether it passes: `python -m tests.docs.checks cap route`."""

import runpy
import sys
import traceback

for name in sys.argv[1:]:
    try:
        runpy.run_module(f"tests.docs.checks.{name}")
    except Exception:  # noqa: BLE001 - whatever a check raises, it fails
        traceback.print_exc()
        print(f"{name}: fails")
    else:
        print(f"{name}: passes")
