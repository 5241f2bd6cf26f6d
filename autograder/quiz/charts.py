"""Pictures of a quiz's figures: SVG in the page itself, dark on white, told apart by more than colour."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, SOFT, RULE = "#22252a", "#5a5f66", "#d9d6ce"
PLAIN, GOOD, BAD = "#1c5a7d", "#1f6243", "#99291c"
THIRDS = ("#c9d8e2", "#7ba7c2", "#1c5a7d")


def histogram(scores: Sequence[float], most: float, labels: tuple[str, str]) -> str:
    """How many students have which score, in bands a tenth of the points wide. labels: of the two axes."""
    figure, axes = _figure(6.4, 2.6)
    edges = [most * n / 10 for n in range(11)]
    axes.hist(scores, bins=edges, color=PLAIN, edgecolor="white", linewidth=1)
    axes.set_xlim(0, most)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.yaxis.get_major_locator().set_params(integer=True)
    return _address(figure)


def scatter(points: Sequence[tuple[float, float]], labels: tuple[str, str]) -> str:
    """Each question, by its number, at its share of points and its discrimination."""
    figure, axes = _figure(6.4, 3.6)
    axes.axhline(0.2, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.axhline(0, color=RULE, linewidth=0.8)
    axes.set_xlim(0, 1)
    low = min([-0.1, *(y - 0.1 for _, y in points)])
    axes.set_ylim(low, max([0.6, *(y + 0.1 for _, y in points)]))
    for number, (x, y) in enumerate(points, 1):
        colour, shape = (BAD, "s") if y < 0 else (PLAIN, "o")
        axes.plot([x], [y], shape, color=colour, markersize=15, alpha=0.92)
        axes.annotate(str(number), (x, y), color="white", ha="center", va="center", fontsize=8, weight="bold")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    return _address(figure)


def thirds(
    names: Sequence[str], right: Sequence[bool], shares: Sequence[Sequence[float]], legend: Sequence[str]
) -> str:
    """For each choice its share in the weakest, the middle and the best third of the class. right: which are keys."""
    figure, axes = _figure(6.4, 0.62 + 0.42 * len(names))
    for third in range(3):
        heights = [row[third] for row in shares]
        where = [place + (third - 1) * 0.26 for place in range(len(names))]
        axes.barh(where, heights, 0.24, color=THIRDS[third], edgecolor=INK, linewidth=0.5, label=legend[third])
    axes.set_yticks(range(len(names)), [f"{name} ✓" if key else name for name, key in zip(names, right, strict=True)])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=8.5, handlelength=1.2)
    return _address(figure)


def drawn(text: str, direction: str) -> str:
    """Words for a picture, whose letters are set one after the other from the left: those of Hebrew the other way."""
    return text[::-1] if direction == "rtl" else text


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def _address(figure: Figure) -> str:
    """The picture as an address that holds all of it. The same figures give the same bytes."""
    data = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "quiz", "svg.fonttype": "path"}):
        figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
