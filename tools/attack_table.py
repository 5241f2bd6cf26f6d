"""Prints what came of each attack in each layer that this machine offers; --write puts it into `docs/attacks.md`.

    python tools/attack_table.py [--write] [--only NAME] [LAYER...]

Takes minutes: every attack is graded in every layer. Exit status 1 if one did not get the verdict it must get.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import siege  # noqa: E402

HEAD = """# Attacks

What the files below `tests/attacks/` try, and what comes of it in each layer. Written by
`python tools/attack_table.py --write`; every cell is a grading of that file in that layer, on Linux.

*stopped*: it earned what its honest part earns, saw nothing and left nothing. What remains has a note below the table.
`docs/threat-model.md` says what is promised.
"""


def table(columns: dict[str, dict[str, str]], names: list[str]) -> Iterator[str]:
    """Markdown, line by line. columns: by layer, what came of each attack."""
    notes: list[str] = []
    for group, title in siege.GROUPS.items():
        yield f"\n## {title}\n\n| attack | what it tries | {' | '.join(columns)} |\n|{'---|' * (2 + len(columns))}"
        for name in names:
            attack = siege.attacks()[name]
            if attack.group != group:
                continue
            cells = [_cell(name, column.get(name, "not tried"), notes) for column in columns.values()]
            yield f"| `{name}` | {attack.tries} | {' | '.join(cells)} |"
    yield "\n## What remains\n" if notes else ""
    yield from (f"{number}. {note}" for number, note in enumerate(notes, 1))


def _cell(name: str, found: str, notes: list[str]) -> str:
    if not found.startswith("known"):
        return found
    note = f"`{name}`: {found.removeprefix('known: ')}."
    if note not in notes:
        notes.append(note)
    return f"see {notes.index(note) + 1}"


def outcome(name: str, record: dict[str, object], level: str) -> str:
    """One cell of the table."""
    attack = siege.attacks()[name]
    problem = siege.trouble(attack, record, level)
    if problem:
        print(f"{name} ({level}): {problem}", file=sys.stderr)
        return "**FAILS**"
    return f"known: {attack.known[level]}" if level in attack.known else "stopped"


def main() -> int:
    """Grade, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="rewrite docs/attacks.md")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="just this attack")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"of: {'; '.join(siege.SETTINGS)}")
    given = parser.parse_args()
    names = given.only or list(siege.attacks())
    columns = {}
    for layer in given.layers or siege.SETTINGS:
        setting = siege.SETTINGS[layer]
        if reason := siege.available(setting):
            print(f"{layer}: not tried, {reason}", file=sys.stderr)
            continue
        results = siege.besiege(setting, tuple(names))
        print(f"{layer}: {results['seconds']:.0f} s", file=sys.stderr)
        columns[layer] = {name: outcome(name, results["works"][name], results["level"]) for name in names}
        left = {what: results[what] for what in ("changed", "running", "left") if results[what]}
        if left or any(record["score"] != 10 for record in results["honest"].values()):
            print(f"{layer}: left {left}, honest {results['honest']}", file=sys.stderr)
            columns[layer]["honest"] = "**FAILS**"
    text = HEAD + "\n".join(table(columns, names)).rstrip() + "\n"
    print(text)
    if given.write:
        (ROOT / "docs" / "attacks.md").write_text(text, "utf-8")
    return int(any("FAILS" in found for column in columns.values() for found in column.values()))


if __name__ == "__main__":
    sys.exit(main())
