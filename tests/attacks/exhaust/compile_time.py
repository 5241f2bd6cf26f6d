"""Spends its time, memory and stack in Python's compiler.

verdict: at most 10 points
"""

for source in ("-" * 100_000 + "1", "(" * 100_000 + ")" * 100_000, "f'{" * 150 + "}'" * 150, "x = " * 20_000 + "1"):
    try:
        compile(source, "deep", "exec")
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        print("refused:", type(error).__name__)
