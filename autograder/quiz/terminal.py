"""Questions for a terminal: formulas as one line of Unicode, Markdown's signs gone, each direction kept to itself.

Terminals differ in what they do with text that runs from right to left. Where one reorders it, the marks of Unicode
(isolates around formulas and code, one at the start of each line) keep the parts together; where one does not, they
are not seen.
"""

import re
import unicodedata
from collections.abc import Iterator

from autograder.quiz.draw import options
from autograder.quiz.formulas import MATH
from autograder.quiz.records import Item, Kind, Sheet
from autograder.quiz.words import Words

LRI, FSI, PDI, RLM = "\u2066", "\u2068", "\u2069", "\u200f"
WIDTH = 100

SYMBOLS = dict(
    pair.split("=")
    for pair in (
        "alpha=α beta=β gamma=γ delta=δ epsilon=ε varepsilon=ε zeta=ζ eta=η theta=θ kappa=κ lambda=λ mu=μ nu=ν xi=ξ "
        "pi=π rho=ρ sigma=σ tau=τ phi=φ varphi=φ chi=χ psi=ψ omega=ω Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Sigma=Σ Phi=Φ "
        "Omega=Ω Pi=Π cdot=· times=× div=÷ pm=± approx=≈ neq=≠ ne=≠ leq=≤ le=≤ geq=≥ ge=≥ ll=≪ gg=≫ sim=~ propto=∝ "
        "in=∈ notin=∉ infty=∞ sum=∑ prod=∏ int=∫ partial=∂ nabla=∇ to=→ rightarrow=→ leftarrow=← mapsto=↦ "
        "Rightarrow=⇒ ldots=… cdots=⋯ dots=… vdots=⋮ odot=⊙ oplus=⊕ otimes=⊗ circ=∘ top=⊤ mid=| lVert=‖ rVert=‖ "
        "Vert=‖ langle=⟨ rangle=⟩ lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ forall=∀ exists=∃ subset=⊂ cup=∪ cap=∩ ell=ℓ "
        "equiv=≡ star=⋆ ast=∗ quad=\u2003 qquad=\u2003 prime=′ hat=^ bar=¯ tilde=~ neg=¬ land=∧ lor=∨ emptyset=∅"
    ).split()
)
OVER = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "vec": "\u20d7", "dot": "\u0307", "overline": "\u0304"}
DOUBLED = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ", "E": "𝔼", "P": "ℙ"}
UP = dict(zip("0123456789+-=()nTijkabcdexmpstuv", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵀⁱʲᵏᵃᵇᶜᵈᵉˣᵐᵖˢᵗᵘᵛ", strict=True)) | {"⊤": "ᵀ"}
DOWN = dict(zip("0123456789+-=()aeijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))

_TOKEN = re.compile(r"\\([A-Za-z]+)\*?|\\(.)|(.)", re.DOTALL)
_EMPHASIS = re.compile(r"(\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)(?: [^)]*)?\)")


def question(sheet: Sheet, number: int, words: Words) -> str:
    """One question of a sheet with its choices, as lines for a terminal."""
    item = sheet.quiz.items[number - 1]
    head = f"{words('take.of', number=number, items=len(sheet.quiz.items))} · {words.points(item.points)}"
    blocks = [plain(head, words), plain(item.text, words), *choices(item, sheet, words)]
    return "\n\n".join(blocks)


def choices(item: Item, sheet: Sheet, words: Words) -> Iterator[str]:
    """What there is to choose from, each with its letter or number; nothing where the answer is typed."""
    if item.kind in (Kind.NUMERIC, Kind.SHORT):
        return
    shown = sheet.shown.get(item.id) or tuple(range(len(item.choices)))
    if item.kind is Kind.MATCHING:
        left = [choice.text for choice in item.choices if choice.text]
        yield words("sheet.left")
        yield _listed([(str(number), text) for number, text in enumerate(left, 1)], words)
        yield words("sheet.right")
        sides = [item.choices[place].match for place in shown or options(item)]
        yield _listed(list(zip(words.letters, sides, strict=False)), words)
        return
    texts = [item.choices[place].text for place in shown]
    yield _listed(list(zip(words.letters, texts, strict=False)), words)


def plain(text: str, words: Words) -> str:
    """Markdown as a reader of a terminal wants it."""
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        code = found["kept"]
        if code is not None and code.startswith("\\"):
            return code
        if code is None:
            shown = formula(found["display"] or found["inline"])
        elif code.startswith("```"):
            inside = code.split("\n")[1:-1]
            shown = "\n".join(f"    {line}" for line in inside)
            if words.direction == "rtl":
                shown = "\n".join(f"{LRI}{line}{PDI}" for line in shown.split("\n"))
            held.append(shown)
            return f"\ue000{len(held) - 1}\ue001"
        else:
            shown = code.strip("`")
        held.append(f"{LRI}{shown}{PDI}" if words.direction == "rtl" else shown)
        return f"\ue000{len(held) - 1}\ue001"

    whole = _EMPHASIS.sub("", _LINK.sub(r"\1", MATH.sub(hold, text)))
    whole = re.sub(r"\\([\\`*_\[\]<>$#])", r"\1", whole)
    whole = re.sub(r"\ue000(\d+)\ue001", lambda found: held[int(found[1])], whole)
    if words.direction == "rtl":
        whole = "\n".join(f"{RLM}{line}" if line.strip() else line for line in whole.split("\n"))
    return whole


def formula(tex: str) -> str:
    """TeX on one line: Greek letters, operators, exponents and indices in Unicode, fractions with a slash."""
    return unicodedata.normalize("NFC", re.sub(r" {2,}", " ", _tex(tex.strip())).strip())


def _tex(tex: str) -> str:
    shown, place = "", 0
    while place < len(tex):
        letter = tex[place]
        if letter in "^_":
            group, place = _group(tex, place + 1)
            shown += _raised(_tex(group), UP if letter == "^" else DOWN, letter)
        elif letter == "\\":
            text, place = _command(tex, place)
            shown += text
        else:
            shown += "" if letter in "{}" else " " if letter in "~&\n" else letter
            place += 1
    return shown


def _command(tex: str, place: int) -> tuple[str, int]:
    found = _TOKEN.match(tex, place)
    if found is None or found[1] is None:
        sign = tex[place + 1 : place + 2]
        return {"\\": "; ", ",": " ", ";": " ", ":": " ", "!": "", "|": "‖"}.get(sign, sign), place + 2
    name, end = found[1], found.end()
    if name in ("frac", "tfrac", "dfrac"):
        above, end = _group(tex, end)
        below, end = _group(tex, end)
        return f"{_bracketed(_tex(above))}/{_bracketed(_tex(below))}", end
    if name == "sqrt":
        inside, end = _group(tex, end)
        return f"√{_bracketed(_tex(inside))}", end
    if name in OVER:
        inside, end = _group(tex, end)
        text = _tex(inside)
        return (text + OVER[name] if len(text) == 1 else f"{text}{SYMBOLS.get(name, '')}"), end
    if name == "mathbb":
        inside, end = _group(tex, end)
        return "".join(DOUBLED.get(letter, letter) for letter in inside), end
    if name in ("begin", "end"):
        _, end = _group(tex, end)
        return " ", end
    if name in ("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "limits", "nolimits"):
        return "", end + 1 if tex[end : end + 1] == "." else end
    if name in ("text", "mathrm", "operatorname", "mathbf", "mathit", "mathcal", "boldsymbol", "texttt", "mathsf"):
        inside, end = _group(tex, end)
        return (inside if name in ("text", "texttt") else _tex(inside)), end
    symbol = SYMBOLS.get(name, name)
    gap = " " if symbol == name and tex[end : end + 1].isalpha() else ""
    if tex[end : end + 1] == " " and symbol != name and tex[end + 1 : end + 2].isalnum() and symbol in "·×":
        gap = ""
    return symbol + gap, end


def _group(tex: str, place: int) -> tuple[str, int]:
    """The argument that begins here, without its braces, and where it ends."""
    while tex[place : place + 1] == " ":
        place += 1
    if tex[place : place + 1] == "\\":
        found = _TOKEN.match(tex, place)
        end = found.end() if found else place + 2
        if found and found[1] in ("mathrm", "text", "operatorname", "mathbf") and tex[end : end + 1] == "{":
            _, end = _group(tex, end)
        return tex[place:end], end
    if tex[place : place + 1] != "{":
        return tex[place : place + 1], place + 1
    depth, end = 0, place
    while end < len(tex):
        depth += {"{": 1, "}": -1}.get(tex[end], 0)
        end += 1
        if depth == 0:
            break
    return tex[place + 1 : end - 1 if depth == 0 else end], end


def _raised(text: str, letters: dict[str, str], sign: str) -> str:
    if text and all(letter in letters for letter in text):
        return "".join(letters[letter] for letter in text)
    return f"{sign}{text}" if len(text) <= 1 else f"{sign}{_bracketed(text)}"


def _bracketed(text: str) -> str:
    bare = text.removeprefix("√")
    simple = all(letter.isalnum() or letter in ".′" or unicodedata.category(letter) in ("Lm", "No") for letter in bare)
    return text if simple else f"({text})"


def _listed(pairs: list[tuple[str, str]], words: Words) -> str:
    lines = []
    for letter, text in pairs:
        first, *others = plain(text, words).removeprefix(RLM).split("\n")
        start = f"{RLM}  " if words.direction == "rtl" else "  "
        lines.append(f"{start}{letter})  {first}")
        lines += [f"      {line}" for line in others]
    return "\n".join(lines)
