"""A notebook that was handed in, as HTML that does nothing: nbconvert renders its cells, nh3 keeps what is harmless.

It happens in a process of its own with a deadline, for a notebook may be made to be too much. Each cell is sanitised
once nothing more is done to it, so that no Markdown can become HTML afterwards; what is put in later, formulas and
pictures, is ours or was looked at. Of a cell nothing reaches out of it: no style, class or id of hers is kept.
"""

import base64
import binascii
import io
import json
import re
import resource
import secrets
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree

from autograder.errors import OperatorError
from autograder.text import visible

START_SECONDS = 120
SECONDS = 30.0
MEMORY = 2 * 2**30
TEXT_CAP = 20_000
LINE_CAP = 400
PROSE_CAP = 100_000
HTML_CAP = 300_000
TAG_CAP = 20_000
OUTPUT_CAP = 50
PICTURE_CAP = 4 * 2**20
PICTURES_CAP = 24 * 2**20
PIXEL_CAP = 40_000_000

TAGS = set(
    "a abbr b blockquote br caption code dd del details dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol "
    "p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var".split()
)
EMPTIED = set("script style svg math template iframe object embed noscript title textarea select audio video".split())
ATTRIBUTES = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
COLOURED = set("c c1 ch cm k kc kd kn kr kt o ow s s1 s2 sa sb sd se sf sh si sr mb mf mh mi mo nb nc nd ne nf".split())
PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=\s]+)\Z")
ADDRESS = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
ACTIVE = re.compile(r"<\s*(?:script|iframe|object|embed)\b", re.IGNORECASE)
HEADING = re.compile(r"<(/?)h([1-6])>")
FORMULA_CAP = 2000
UNSEEN = dict.fromkeys(range(0x2061, 0x2065))  # operators of MathML that have no sign
FORMULAS = set(
    "math mrow mi mn mo ms mtext mspace msup msub msubsup munder mover munderover mfrac msqrt mroot mtable mtr mtd "
    "mstyle mpadded mphantom menclose".split()
)
FORMULA_ATTRIBUTES = set(
    "display stretchy fence form separator lspace rspace minsize maxsize accent accentunder mathvariant movablelimits "
    "columnalign rowspacing columnspacing displaystyle scriptlevel linethickness largeop symmetric width".split()
)
MATHML = "http://www.w3.org/1998/Math/MathML"

START = "import sys; sys.path.append(sys.argv[1]); from autograder import typeset; typeset.serve()"


@dataclass(frozen=True, slots=True)
class Piece:
    """One cell as harmless HTML. kind: code, markdown or raw.  number: of code cells, from 1; else 0."""

    kind: str
    number: int
    html: str
    outputs: tuple[str, ...] = ()


class Typesetter:
    """The process that typesets, begun when it is needed, and again after it was ended. Use as a context manager."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def typeset(self, notebook: bytes) -> tuple[Piece, ...] | None:
        """The cells of a notebook (its file's bytes); None if it can't be read, or takes too much time or memory."""
        child = self._child = self._child or self._begun()
        if child.stdin is None or child.stdout is None:
            raise OperatorError("the process that typesets notebooks can't be spoken to.")
        timer = threading.Timer(self._seconds, child.kill)
        timer.start()
        try:
            child.stdin.write(b"%d\n" % len(notebook) + notebook)
            child.stdin.flush()
            reply = child.stdout.readline()
        except BrokenPipeError:
            reply = b""
        finally:
            timer.cancel()
        if not reply.endswith(b"\n"):
            self._end()
            return None
        cells = json.loads(reply)
        if cells is None:
            return None
        return tuple(Piece(kind, number, html, tuple(outputs)) for kind, number, html, outputs in cells)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begun(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-c", START, str(Path(__file__).parents[1])]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
        timer = threading.Timer(START_SECONDS, child.kill)
        timer.start()
        ready = child.stdout.readline() if child.stdout else b""
        timer.cancel()
        if not ready:
            child.kill()
            child.communicate()
            raise OperatorError(
                "the process that typesets notebooks does not start. Does `import nbconvert, nh3` work?"
            )
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def serve() -> None:
    """Typeset what standard input brings, each notebook after its length, and answer with a line of JSON each."""
    for kind, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    warnings.simplefilter("ignore")
    _Press()  # its libraries take seconds to import, which are no notebook's
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while header := sys.stdin.buffer.readline():
        try:
            reply: Any = [
                (piece.kind, piece.number, piece.html, piece.outputs)
                for piece in pieces(sys.stdin.buffer.read(int(header)))
            ]
        except Exception:  # whatever it is, the notebook is to blame; its code can still be shown
            reply = None
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def pieces(notebook: bytes) -> list[Piece]:
    """The cells as HTML. Raises whatever an unreadable notebook makes others raise."""
    press, found, number, room = _Press(), [], 0, PICTURES_CAP
    for cell in _cells(json.loads(notebook.decode("utf-8-sig"))):
        kind, source = cell["cell_type"], cell["source"]
        if kind != "code":
            known = {"attachments": _attachments(cell)} if kind == "markdown" else {}
            html = press.print(kind, _cut(source, PROSE_CAP) if kind == "markdown" else _shortened(source), **known)
            found.append(Piece("markdown" if kind == "markdown" else "raw", 0, html))
            continue
        number += 1
        outputs, room = _outputs(cell.get("outputs"), room)
        shown = tuple(press.print("code", "", outputs=[output]) for output in outputs)
        html = press.print("code", visible(source, 10 * len(source) + 10))
        found.append(Piece("code", number, html, tuple(filter(None, shown))))
    return found


def _cells(raw: Any) -> list[dict[str, Any]]:
    """The cells with their sources as text, whichever version of the format."""
    import nbformat

    if raw.get("nbformat", 4) < 4 or "worksheets" in raw:
        raw = nbformat.convert(nbformat.versions[raw["nbformat"]].to_notebook_json(raw), 4)
    return [{**cell, "source": _text(cell.get("source"))} for cell in raw["cells"]]


def _text(source: Any) -> str:
    text = "".join(source) if isinstance(source, list) else source if isinstance(source, str) else ""
    return text.encode("utf-8", "replace").decode()


def _attachments(cell: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The pictures that come with a Markdown cell."""
    given = cell.get("attachments")
    return {
        name: {kind: data for kind, data in bundle.items() if isinstance(data, str)}
        for name, bundle in (given.items() if isinstance(given, dict) else ())
        if isinstance(bundle, dict)
    }


def _outputs(given: Any, room: int) -> tuple[list[dict[str, Any]], int]:
    """What is shown of a cell's outputs, each in one form only, and how much room is left for pictures."""
    outputs = [output for output in given if isinstance(output, dict)] if isinstance(given, list) else []
    shown: list[dict[str, Any]] = []
    for output in outputs[:OUTPUT_CAP]:
        kind = output.get("output_type")
        if kind == "stream":
            shown.append(_stream(_text(output.get("text"))))
        elif kind == "error":
            trace = output.get("traceback")
            lines = "\n".join(map(_text, trace)) if isinstance(trace, list) else ""
            shown.append(_stream(lines or f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"))
        elif isinstance(data := output.get("data"), dict):
            form, content = _form(data, room)
            room -= len(content) if form.startswith("image/") else 0
            shown.append({"output_type": "display_data", "metadata": {}, "data": {form: content}})
    if len(outputs) > OUTPUT_CAP:
        shown.append(_stream(f"… {len(outputs) - OUTPUT_CAP} more outputs are left out."))
    return shown, room


def _stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": _shortened(text)}


def _form(data: dict[str, Any], room: int) -> tuple[str, str]:
    """The best of an output's forms that can be shown, and its content."""
    html = _text(data.get("text/html"))
    if html.strip() and not ACTIVE.search(html) and len(html) <= HTML_CAP and html.count("<") <= TAG_CAP:
        return "text/html", html
    for form in ("text/markdown", "text/latex"):
        if (text := _text(data.get(form))).strip() and len(text) <= PROSE_CAP:
            return form, text
    for form in ("image/png", "image/jpeg"):
        picture = "".join(_text(data.get(form)).split())
        if picture and _is_picture(picture):
            if len(picture) <= min(room, PICTURE_CAP):
                return form, picture
            return "text/plain", f"… a picture of {len(picture) * 3 / 4e6:.1f} MB is left out."
    plain = _shortened(_text(data.get("text/plain")))
    return "text/plain", plain or "… something that can't be shown on a page."


def _is_picture(data: str) -> bool:
    """Whether this is a PNG or JPEG of a size that can be shown. Only its head is read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=("PNG", "JPEG")) as picture:
            return 0 < picture.width * picture.height <= PIXEL_CAP
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        return False


def _shortened(text: str) -> str:
    lines = visible(_cut(text, TEXT_CAP), 10 * TEXT_CAP).split("\n")
    if len(lines) <= LINE_CAP:
        return "\n".join(lines)
    return "\n".join([*lines[:LINE_CAP], f"… {len(lines) - LINE_CAP} more lines are left out."])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n\n… {len(text) - limit} more characters are left out."


@dataclass(slots=True)
class _Press:
    """Renders and sanitises cell by cell. kept: what stands in for a mark until the HTML around it is harmless."""

    mark: str = field(default_factory=lambda: f"x{secrets.token_hex(12)}n")
    kept: list[str] = field(default_factory=list)
    exporter: Any = None

    def print(self, kind: str, source: str, **more: Any) -> str:
        import nbformat

        self.kept.clear()
        empty: dict[str, Any] = {"outputs": [], "execution_count": None} if kind == "code" else {}
        cell = {"cell_type": kind, "id": "cell", "metadata": {}, "source": source, **empty, **more}
        metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell]})
        self.exporter = self.exporter or _exporter(self.keep)
        html, _ = self.exporter.from_notebook_node(notebook)
        return self.harmless(html)

    def harmless(self, html: str) -> str:
        """What may stand on a page; headings rank below the page's own."""
        import nh3

        clean = nh3.clean(
            html,
            tags=TAGS,
            clean_content_tags=EMPTIED,
            attributes=ATTRIBUTES,
            attribute_filter=self.attribute,
            link_rel="noopener noreferrer nofollow",
            url_schemes={"http", "https", "mailto", "data"},
            allowed_classes={"span": COLOURED},
        )
        shown = visible(clean, 10 * len(clean) + 10)
        lower = HEADING.sub(lambda found: f"<{found[1]}h{min(6, int(found[2]) + 2)}>", shown).strip()
        return re.sub(rf"{self.mark}(\d+)n", lambda found: self.kept[int(found[1])], lower)

    def keep(self, html: str) -> str:
        """A mark for this. It is put in where the mark stands at the end, in text or as all of a picture's address."""
        self.kept.append(html)
        return f"{self.mark}{len(self.kept) - 1}n"

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        """The attribute as it may stay, or None."""
        if (tag, name) == ("img", "src"):
            found = PICTURE.match(value)
            data = "".join(found[1].split()) if found else ""
            fits = bool(data) and len(data) <= PICTURE_CAP and _is_picture(data)
            return self.keep(f"{value.partition(',')[0]},{data}") if fits else None
        if (tag, name) == ("a", "href") and not ADDRESS.match(value):
            return None
        return re.sub(rf"{self.mark}\d+n", "", value)


def _exporter(keep: Callable[[str], str]) -> Any:
    """nbconvert, with our template and with formulas as MathML."""
    import jinja2
    from nbconvert.exporters.html import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body: str) -> str:
            return keep(formula(body, "inline"))

        def block_math(self, body: str) -> str:
            return keep(formula(body, "block"))

        def latex_environment(self, name: str, body: str) -> str:
            return keep(formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block"))

    @jinja2.pass_context
    def markdown(context: Any, source: str) -> str:
        attachments = getattr(context.get("cell"), "attachments", None) or {}
        renderer = Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
        return str(MarkdownWithMath(renderer=renderer).render(source))

    made: Any = HTMLExporter
    return made(
        extra_loaders=[jinja2.PackageLoader("autograder", "pages")],
        template_file="cell.html.j2",
        filters={"markdown2html": markdown},
    )


def formula(source: str, display: str) -> str:
    """LaTeX as MathML with nothing in it but what draws; as it was typed where it can't be read."""
    import latex2mathml.converter

    typed = f'<code class="formula">{escape(visible(source, 10 * FORMULA_CAP))}</code>'
    if len(source) > FORMULA_CAP or source.count("{") > 200:
        return typed
    try:
        tree = latex2mathml.converter.convert_to_element(visible(source, 10 * FORMULA_CAP), display=display)
    except Exception:  # it raises whatever comes
        return typed
    if not _draws_only(tree):
        return typed
    ElementTree.register_namespace("", MATHML)
    drawn = ElementTree.tostring(tree, encoding="unicode", short_empty_elements=False)
    reached = ' tabindex="0"' if display == "block" else ""  # what may have to be scrolled can be, by key
    return f'<span class="{display} formula"{reached}>{drawn}</span>'


def _draws_only(tree: ElementTree.Element) -> bool:
    """Whether a formula is one. What does not draw is taken from it; signs that are spelled as numbers become signs."""
    elements: Sequence[ElementTree.Element] = list(tree.iter())
    for element in elements:
        element.text = visible(unescape(element.text or "").translate(UNSEEN), FORMULA_CAP)
        for name in [name for name in element.attrib if name not in FORMULA_ATTRIBUTES]:
            del element.attrib[name]
    return all(element.tag.removeprefix(f"{{{MATHML}}}") in FORMULAS for element in elements)
