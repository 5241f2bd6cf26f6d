"""Markdown to HTML and back, with formulas, and with each script's direction.

`markdown(html(text))` renders as `text` does. Formulas stand as `\\(…\\)` and `\\[…\\]`, which Moodle, Canvas and
Jupyter typeset, and left to right inside text that runs right to left. A dollar that is only a dollar stands in
a `<span>` of its own, so that no page takes two of them for a formula.
"""

import functools
import html as entities
import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from autograder.quiz.formulas import MATH

RIGHT_TO_LEFT = frozenset({"he", "iw", "yi", "ar", "fa", "ur", "ps", "sd", "ug", "dv", "ckb", "syr"})
_TEX = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_HELD = re.compile(r"\ue000(\d+)\ue001")
_PRIVATE = re.compile(r"[\ue000\ue001]")
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ACTS = re.compile(r"([\\`*_\[\]<>$|~&!])")
_STARTS = re.compile(r"^(\s*\d*)(?=[-+#=.)])", re.MULTILINE)
_DOLLAR = re.compile(r"(<[^>]*>)|\$")
_VOID = frozenset({"br", "img", "hr", "input", "meta", "link", "col", "wbr"})
_BLOCKS = frozenset(
    {"p", "div", "ul", "ol", "pre", "blockquote", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"}
)
_HIDDEN = frozenset({"script", "style", "head", "title", "template"})
_MARKS = {"em": "*", "i": "*", "strong": "**", "b": "**"}


@dataclass(slots=True)
class Node:
    """An element of a fragment of HTML; a text has no tag."""

    tag: str = ""
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)

    def has_class(self, name: str) -> bool:
        return name in self.attributes.get("class", "").split()


def direction(language: str) -> str:
    return "rtl" if language.split("-")[0].lower() in RIGHT_TO_LEFT else "ltr"


def html(text: str, language: str = "en") -> str:
    """Markdown as HTML that is also XML. One paragraph stands without `<p>`; what is not English says its language."""
    whole = _rendered(legal(text), direction(language) == "rtl")
    if language == "en" or not whole:
        return whole
    tag = "div" if _begins_with_a_block(whole) else "span"
    return f'<{tag} lang="{entities.escape(language)}" dir="{direction(language)}">{whole}</{tag}>'


def markdown(text: str) -> str:
    """HTML as Markdown. What Markdown has no sign for stands as its text."""
    return of(fragment(text))


def of(node: Node) -> str:
    plain = _blocks(node, False)
    if _rendered(plain, False) == _rendered(escaped := _blocks(node, True), False):
        return plain
    return escaped


def language(text: str) -> str:
    """The language that a fragment says it is in, or else the one that its letters do; empty if neither."""
    for node in walk(fragment(text)):
        if said := node.attributes.get("lang") or node.attributes.get("xml:lang"):
            return said
    letters = [each for each in text if "\u0590" <= each <= "\u05ff"]
    return "he" if len(letters) >= 3 else ""


def fragment(text: str) -> Node:
    """The tree of a piece of HTML, however broken."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.root


def walk(node: Node) -> list[Node]:
    found, waiting = [], [node]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting.extend(reversed(each.children))
    return found


def legal(text: str) -> str:
    """Without the characters that no XML file may hold, and without those that stand in for formulas here."""
    return _ILLEGAL.sub("", _PRIVATE.sub("", text))


def same(one: str, other: str) -> bool:
    """Whether two texts in Markdown look the same."""
    return one.strip() == other.strip() or _rendered(one, False) == _rendered(other, False)


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable("table")


def _rendered(text: str, mixed: bool) -> str:
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        if found["kept"]:
            return found[0]
        left, right = ("\\[", "\\]") if found["display"] else ("\\(", "\\)")
        tex = entities.escape((found["display"] or found["inline"]).strip(), quote=False)
        held.append(f"{left}{tex}{right}")
        return f"\ue000{len(held) - 1}\ue001"

    whole = _parser().render(MATH.sub(hold, text)).strip()
    if whole.startswith("<p>") and whole.find("</p>") == len(whole) - 4:
        whole = whole[3:-4]
    if mixed:
        whole = re.sub(r"<code(?=[ >])", '<code dir="ltr"', whole)
    whole = _DOLLAR.sub(lambda found: found[1] or "<span>$</span>", whole)
    return _HELD.sub(lambda found: _formula(held[int(found[1])], mixed), whole)


def _formula(tex: str, mixed: bool) -> str:
    return f'<span dir="ltr">{tex}</span>' if mixed else tex


def _begins_with_a_block(text: str) -> bool:
    return bool((found := re.match(r"<(\w+)", text)) and found[1] in _BLOCKS)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("div")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, attributes={name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in _VOID and len(self._open) < 60:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Node(tag, attributes={name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, 0, -1):
            if self._open[place].tag == tag:
                del self._open[place:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(Node(text=data))


def _blocks(node: Node, careful: bool) -> str:
    """The node's content as blocks of Markdown, with an empty line between each two."""
    parts: list[str] = []
    run: list[Node] = []
    for child in node.children:
        if child.tag in _BLOCKS or (child.tag == "span" and _holds_a_block(child)):
            parts += [_trimmed(_inline(run, careful)), _block(child, careful)]
            run = []
        else:
            run.append(child)
    parts.append(_trimmed(_inline(run, careful)))
    return "\n\n".join(part for part in parts if part)


def _trimmed(text: str) -> str:
    """Without white space around it, and without a line break that nothing follows."""
    return re.sub(r"(\\\n\s*)+$", "", text).strip()


def _holds_a_block(node: Node) -> bool:
    return any(child.tag in _BLOCKS for child in walk(node))


def _block(node: Node, careful: bool) -> str:
    if node.tag == "pre":
        return _fenced(node)
    if node.tag in ("ul", "ol"):
        return _list(node, careful)
    if node.tag == "table":
        return _table(node, careful)
    if node.tag == "blockquote":
        return "\n".join(f"> {line}".rstrip() for line in _blocks(node, careful).split("\n"))
    if len(node.tag) == 2 and node.tag[0] == "h" and node.tag[1].isdigit():
        return f"{'#' * int(node.tag[1])} {_inline(node.children, careful).strip()}"
    return _blocks(node, careful)


def _fenced(node: Node) -> str:
    code = next((child for child in node.children if child.tag == "code"), node)
    shown = code.attributes.get("class", "").removeprefix("language-") if code is not node else ""
    text = plain(node).removesuffix("\n")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}{shown}\n{text}\n{fence}"


def _list(node: Node, careful: bool) -> str:
    lines: list[str] = []
    start = node.attributes.get("start", "1")
    number = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1
    items = [child for child in node.children if child.tag == "li"]
    loose = any(each.tag == "p" for item in items for each in item.children)
    for item in items:
        mark = f"{number}. " if node.tag == "ol" else "- "
        inside = _blocks(item, careful)
        if not loose:
            inside = re.sub(r"\n\n(?=[-\d])", "\n", inside)
        lines.append(mark + inside.replace("\n", "\n" + " " * len(mark)).replace(" " * len(mark) + "\n", "\n"))
        number += 1
    return ("\n\n" if loose else "\n").join(lines)


def _table(node: Node, careful: bool) -> str:
    rows = [
        [
            _inline(cell.children, careful).strip().replace("|", "\\|")
            for cell in row.children
            if cell.tag in ("td", "th")
        ]
        for row in walk(node)
        if row.tag == "tr"
    ]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    heads = [cell for row in walk(node) if row.tag == "tr" for cell in row.children if cell.tag in ("td", "th")]
    rules = [_rule(cell.attributes.get("style", "")) for cell in heads[: len(rows[0])]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rules, *rows[1:]])


def _rule(style: str) -> str:
    return {"left": ":--", "right": "--:", "center": ":-:"}.get(
        style.replace(" ", "").removeprefix("text-align:"), "---"
    )


def _inline(nodes: list[Node], careful: bool) -> str:
    return "".join(_span(node, careful) for node in nodes).replace("\\\n\n", "\\\n")


def _span(node: Node, careful: bool) -> str:
    if not node.tag:
        return _text(node.text, careful)
    if node.tag in _HIDDEN:
        return ""
    if node.tag == "br":
        return "\\\n"
    if node.tag == "img":
        return f"![{_text(node.attributes.get('alt', ''), careful)}]({_target(node, 'src')})"
    inside = _inline(node.children, careful)
    if node.tag == "code":
        return _ticked(plain(node))
    if node.tag in _MARKS and inside.strip():
        mark = _MARKS[node.tag]
        return f"{mark}{inside}{mark}"
    if node.tag == "a" and "href" in node.attributes:
        return f"[{inside}]({_target(node, 'href')})"
    return inside


def _target(node: Node, name: str) -> str:
    address = node.attributes.get(name, "").replace("\n", "")
    whole = f"<{address}>" if re.search(r"[\s()]", address) else address
    title = node.attributes.get("title", "").replace('"', "'")
    return f'{whole} "{title}"' if title else whole


def _ticked(text: str) -> str:
    runs = {len(run) for run in re.findall("`+", text)}
    ticks = "`" * next(length for length in range(1, 99) if length not in runs)
    pad = " " if text[:1] == "`" or text[-1:] == "`" or (text[:1] == text[-1:] == " " and text.strip()) else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _text(text: str, careful: bool) -> str:
    """A text with its formulas as Markdown has them; `careful` keeps every other sign from acting."""
    shown: list[str] = []
    last = 0
    for found in _TEX.finditer(text):
        shown.append(_dollars(text[last : found.start()], careful))
        shown.append(f"${found[1].strip()}$" if found[1] else f"$${found[2].strip()}$$")
        last = found.end()
    return "".join(shown) + _dollars(text[last:], careful)


def _dollars(text: str, careful: bool) -> str:
    """A text whose formulas stand between dollars, as other systems write them too."""
    shown: list[str] = []
    last = 0
    for found in MATH.finditer(text):
        if not found["kept"]:
            shown += [_kept(text[last : found.start()], careful), found[0]]
            last = found.end()
    return "".join(shown) + _kept(text[last:], careful)


def _kept(text: str, careful: bool) -> str:
    return _STARTS.sub(r"\1\\", _ACTS.sub(r"\\\1", text)) if careful else text


def plain(node: Node) -> str:
    """A node's text alone."""
    return "".join(each.text for each in walk(node) if not each.tag)


def isolated(text: str) -> str:
    """Without the marks that keep directions apart."""
    return "".join(each for each in text if each not in "\u2066\u2067\u2068\u2069")


def slug(text: str) -> str:
    """What of a name makes an id in kebab case; empty if nothing does."""
    plain_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain_text))[:60].strip("-")
