"""What grading answer sheets costs: a class's sheets of one quiz, from the command's start to the written report.

    python benchmarks/quizzes.py [--students 200] [--quiz NAME] [--language en] [--profile]

The sheets are made and filled in at random first, which is not counted. `grade` runs three times, each from nothing,
and once more on what it has graded. CPU is user + system time of the process and all that it waited for, imports and
interpreter included, as the kernel counts it; what is printed is the smallest and the largest of the three. The report
of the items is timed apart, for it draws pictures. `--profile` prints where the time of one run goes.
"""

import argparse
import cProfile
import json
import pstats
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from autograder import course as courses
from autograder.quiz import bank, draw, grading, sheet
from autograder.records import Request, Watcher

ROOT = Path(__file__).parents[1]
MOST = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--quiz")
    parser.add_argument("--language", default=bank.SOURCE)
    parser.add_argument("--profile", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quizzes-") as folder:
        root = copied(Path(folder))
        name = wanted.quiz or courses.quizzes(root)[0]
        sheets = filled(root, name, wanted.students, wanted.language)
        if wanted.profile:
            profile(root, name, sheets)
            return
        measure(root, name, sheets, wanted.students)


def copied(folder: Path) -> Path:
    """The course's quizzes with a secret of their own."""
    shutil.copytree(ROOT / "quizzes", folder / "quizzes")
    for path in (ROOT / "solutions").glob("*/assignment.toml"):
        target = folder / "solutions" / path.parent.name / path.name
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
    return folder


def filled(root: Path, name: str, students: int, language: str) -> Path:
    """A sheet for each student with an answer in each cell: of any letter, pair, number or word there is."""
    rng = random.Random(0)
    deck = draw.deck(root, bank.load(root, name, language))
    folder = root / "sheets"
    folder.mkdir()
    for number in range(students):
        dealt = draw.deal(deck, f"student{number:04}", 1)
        notebook = sheet.notebook(dealt, deck.secret)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][1:]
        for cell, item in zip(cells, dealt.quiz.items, strict=True):
            known = [choice.text for choice in item.choices] + ["a", "b", "c", "1a 2b 3c", "a b c d", "", "17"]
            cell["source"] = cell["source"].replace('""', json.dumps(rng.choice(known)), 1)
        (folder / f"{dealt.student}.ipynb").write_text(json.dumps(notebook, ensure_ascii=False), "utf-8")
    return folder


def measure(root: Path, name: str, sheets: Path, students: int) -> None:
    command = [str(Path(sys.executable).with_name("autograder"))]
    fresh = []
    for number in range(3):
        words = ["grade", name, str(sheets), "--out", str(root / f"out{number}"), "--course", str(root)]
        fresh.append(cpu([*command, *words]))
    again = cpu([*command, *words])
    report = ["quiz", "report", name, "--gradebook", str(root / "out0"), "--out", str(root / "out0")]
    items = cpu([*command, *report, "--course", str(root)])
    print(f"{students} sheets of {name}: {min(fresh):.2f} to {max(fresh):.2f} s of CPU, everything included")
    print(f"the same once more, all known: {again:.2f} s;  item analysis with its pictures: {items:.2f} s")
    met = "met" if max(fresh) < MOST else "NOT MET"
    print(f"asked for: less than {MOST:g} s of CPU for 200 sheets: {met}")


def cpu(command: list[str]) -> float:
    """CPU seconds of a command and what it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def profile(root: Path, name: str, sheets: Path) -> None:
    request = Request(root, name, (sheets,), root / "out")
    profiler = cProfile.Profile()
    profiler.runcall(grading.grade, request, Watcher(lambda _: None, lambda _: None))
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
