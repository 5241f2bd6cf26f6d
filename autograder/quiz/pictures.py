"""Whether the pictures of a question are there, described, and readable: WCAG's contrast of ink and ground."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

CONTRAST = 4.5
SHARE = 0.002
_PICTURE = re.compile(r"(?<!\\)!\[(?P<alt>[^\]]*)\]\((?P<place><[^>]*>|[^)\s]*)[^)]*\)")
_NAMED = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "lightgray": (211, 211, 211),
    "lightgrey": (211, 211, 211),
    "silver": (192, 192, 192),
    "orange": (255, 165, 0),
    "pink": (255, 192, 203),
    "navy": (0, 0, 128),
}
Colour = tuple[int, int, int]


def problems(text: str, folder: Path | None) -> Iterator[str]:
    """What is wrong with the pictures of a text in Markdown. folder: where they lie, None if that is not known."""
    for found in _PICTURE.finditer(text):
        place = found["place"].strip("<>")
        if not found["alt"].strip() or found["alt"].strip().lower() in (place.lower(), "image", "picture", "figure"):
            yield f"the picture {place[:60]!r} has no description. Say between [ and ] what it shows."
        if place.startswith(("http:", "https:", "//", "data:")):
            yield f"the picture {place[:60]!r} lies elsewhere and can go away. Put a copy beside the bank."
            continue
        if folder is None:
            continue
        path = (folder / place).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            yield f"there is no picture {place[:60]!r} beside the bank."
            continue
        contrast = of(path)
        if contrast is not None and contrast < CONTRAST:
            yield f"the picture {place[:60]!r} has a contrast of {contrast:.1f}:1, expected at least {CONTRAST}:1."


def of(path: Path) -> float | None:
    """The contrast of a picture's ink, or of an SVG's palest text, to its ground; None where it can't be told."""
    if path.suffix.lower() == ".svg":
        return _of_svg(path)
    if path.suffix.lower() in (".png", ".gif", ".jpg", ".jpeg"):
        return _of_pixels(path)
    return None


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2's contrast ratio, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colour(said: str) -> Colour | None:
    """A colour as SVG and CSS write it, where it is plain."""
    plain = said.strip().lower()
    if plain in _NAMED:
        return _NAMED[plain]
    if re.fullmatch(r"#[0-9a-f]{3}", plain):
        plain = "#" + "".join(2 * each for each in plain[1:])
    if re.fullmatch(r"#[0-9a-f]{6}", plain):
        return int(plain[1:3], 16), int(plain[3:5], 16), int(plain[5:7], 16)
    if found := re.fullmatch(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)", plain):
        return min(255, int(found[1])), min(255, int(found[2])), min(255, int(found[3]))
    return None


def _luminance(each: Colour) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in each
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _of_svg(path: Path) -> float | None:
    """Every text against the first large rectangle, or white."""
    grounds: list[Colour] = []
    inks: list[Colour] = []
    fills: list[str] = ["black"]

    def start(tag: str, attributes: dict[str, str]) -> None:
        style = dict(re.findall(r"([\w-]+)\s*:\s*([^;]+)", attributes.get("style", "")))
        fills.append(style.get("fill", attributes.get("fill", fills[-1])))
        known = colour(fills[-1])
        if known is None:
            return
        if tag in ("text", "tspan"):
            inks.append(known)
        elif tag == "rect" and not grounds and not inks and attributes.get("width", "").endswith(("100%", "0", "5")):
            grounds.append(known)

    def end(tag: str) -> None:
        fills.pop()

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, ValueError):
        return None
    ground = grounds[0] if grounds else (255, 255, 255)
    return min((contrast(ink, ground) for ink in inks), default=None)


def _refuse(*_: object) -> int:
    raise ValueError("entities")


def _of_pixels(path: Path) -> float | None:
    """The best contrast that any colour of some extent has to the most frequent one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > 50_000_000:
                return None
            paper = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            paper.alpha_composite(picture.convert("RGBA"))
            small = paper.convert("RGB")
            small.thumbnail((800, 800), Image.Resampling.NEAREST)
            data = small.tobytes()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    counts = Counter(zip(data[0::3], data[1::3], data[2::3], strict=True))
    ground = counts.most_common(1)[0][0]
    least = SHARE * sum(counts.values())
    rough: Counter[Colour] = Counter()
    for each, count in counts.items():
        rough[(each[0] // 32 * 32 + 16, each[1] // 32 * 32 + 16, each[2] // 32 * 32 + 16)] += count
    return max((contrast(each, ground) for each, count in rough.items() if count >= least), default=None)
