"""Markdown with formulas as HTML that needs no script and no address outside: formulas become MathML."""

import functools
import re

from latex2mathml import converter
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from autograder.quiz import terminal
from autograder.quiz.formulas import MATH

_BLOCKS = re.compile(r"(?m)^ {0,3}(?:[-*+#>|=<]|\d+[.)]|`{3}|~{3}|\[)|^ {4}|^\t|\\$|  $")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?")
MATHML = "http://www.w3.org/1998/Math/MathML"
_HELD = re.compile("\ue000(\\d+)\ue001")
_CODE = re.compile(r"<(code|pre)(?=[ >])")


@functools.lru_cache(maxsize=4096)
def html(text: str) -> Markup:
    """Blocks of HTML. Raw HTML in the text is shown, not obeyed; code runs from left to right in any language."""
    return Markup(_rendered(text))  # noqa: S704 - MarkdownIt escapes all that it does not make itself


@functools.lru_cache(maxsize=4096)
def inline(text: str) -> Markup:
    """The same, without the paragraph around a single one."""
    whole = _rendered(text).strip()
    if whole.startswith("<p>") and whole.find("</p>") == len(whole) - 4:
        whole = whole[3:-4]
    return Markup(whole)  # noqa: S704 - as above


def inline_with_tex(text: str) -> str:
    """One paragraph as HTML in which formulas stay as they are, for programs that typeset them later."""
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0]
        held.append(found[0])
        return f"\ue000{len(held) - 1}\ue001"

    plain = " ".join(text.replace("\ue000", "").replace("\ue001", "").split("\n"))
    whole = _CODE.sub(r'<\1 dir="ltr"', _parser().renderInline(MATH.sub(hold, plain)))
    return _HELD.sub(lambda found: held[int(found[1])], whole)


@functools.lru_cache(maxsize=4096)
def formula(tex: str, display: bool = False) -> str:
    """A formula as MathML, with its text for whoever can't see it; that text alone where it is no TeX."""
    shown = str(escape(terminal.formula(tex)))
    if not display and _NUMBER.fullmatch(tex):
        return f'<math dir="ltr" alttext="{shown}" xmlns="{MATHML}" display="inline"><mn>{shown}</mn></math>'
    try:
        found = converter.convert(tex.strip(), display="block" if display else "inline")
    except Exception:  # it raises whatever its tables do
        return f'<span dir="ltr">{shown}</span>'
    reached = 'tabindex="0" ' if display else ""  # what may have to be scrolled can be, by key
    return found.replace("<math ", f'<math dir="ltr" alttext="{shown}" {reached}', 1)


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _blocks(text: str) -> str:
    """Markdown as blocks; where all of them are paragraphs, it need not be looked for others."""
    if _BLOCKS.search(text):
        return str(_parser().render(text))
    parts = (" ".join(part.split("\n")) for part in re.split(r"\n{2,}", text.strip()))
    return "".join(f"<p>{_parser().renderInline(part)}</p>\n" for part in parts if part.strip())


def _rendered(text: str) -> str:
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0]
        held.append(formula(found["display"] or found["inline"], bool(found["display"])))
        return f"\ue000{len(held) - 1}\ue001"

    plain = text.replace("\ue000", "").replace("\ue001", "")
    whole = _blocks(MATH.sub(hold, plain))
    return _HELD.sub(lambda found: held[int(found[1])], _CODE.sub(r'<\1 dir="ltr"', whole))
