"""Imports the solution and the tests by every name that they could have.

verdict: 10 points
"""

import importlib

for name in ("toy", "solution", "test_hidden", "solutions.toy", "reference", "assignments.toy"):
    try:
        found = vars(importlib.import_module(name))
    except ImportError as error:
        print("refused:", error)
    else:
        print("WORKED:", name, found)
