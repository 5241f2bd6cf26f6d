"""Gives its functions file names and source lines that are not its own.

verdict: 5 points
"""

import linecache

source = "\n" * 31414 + "def scale(x, factor):\n    raise ValueError('<script>alert(1)</script>')\n"
linecache.cache["<cell 1>"] = (1, None, ["=cmd|' /C calc'!A0\n"] * 40000, "<cell 1>")
exec(compile(source, "<cell 1>", "exec"))
