"""Where the formulas of a text in Markdown stand: between dollars, but not in code."""

import re

MATH = re.compile(
    r"(?P<kept>```.*?(?:```|\Z)|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\\.)"
    r"|\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*?[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)


def found(text: str) -> list[str]:
    """The formulas of a text, without their dollars."""
    return [each["display"] or each["inline"] for each in MATH.finditer(text) if not each["kept"]]


def without(text: str) -> str:
    """The text with a single letter in place of each formula, so that its length is not that of the TeX."""
    return MATH.sub(lambda each: each[0] if each["kept"] else "x", text)
