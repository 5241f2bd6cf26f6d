"""The command line: each command parses, calls one function and prints."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from autograder.errors import AutograderError, InstructorError, StudentError

USAGE = 2
OURS = 3

Command = TypeVar("Command", bound=Callable[..., Any])
COURSE = click.option(
    "--course", type=click.Path(path_type=Path), help="The folder that holds solutions/; else the nearest above here."
)
ISOLATION = click.option("--isolation", type=click.Choice(["require", "best", "off"]), default="require")
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
GRADEBOOK = click.option(
    "--gradebook", type=click.Path(path_type=Path), help="The file, or the folder of a report; else here or in report/."
)
LANGUAGE = click.option("--language", default="en", show_default=True, help="A file of the bank, such as he.")
ASSIGNMENT = click.option("--assignment", help="Which one, where the gradebook holds several.")


class Commands(click.Group):
    """Turns our errors into one paragraph and an exit status: 2 for wrong usage, 3 for what is ours to mend."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AutograderError as error:
            click.echo(f"autograder: {error}", err=True)
            sys.exit(USAGE if isinstance(error, (InstructorError, StudentError)) else OURS)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # we are ending: a second one would only interrupt that
            click.echo("\nStopped. What was graded is kept: the same command goes on from here.", err=True)
            sys.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="attention-autograder")
def main() -> None:
    """Grade notebooks of a course unit on attention and Transformers."""


@main.command()
@click.argument("assignment")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for table, results and report.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Submissions at once; 0: one per processor.")
@click.option("--gradebook", type=click.Path(path_type=Path), help="SQLite file; else gradebook.sqlite in --out.")
@click.option("--log-json", is_flag=True, help="One JSON object per line on standard output instead of a table.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--address", default="", help="HOST:PORT of a Ray cluster; else RAY_ADDRESS, or the one that runs here.")
@click.option("--gpu-share", type=click.FloatRange(0.01, 1.0), default=1.0, help="Of a GPU, for each of Ray's nodes.")
@DEVICE
@ISOLATION
@COURSE
def grade(
    assignment: str,
    paths: tuple[Path, ...],
    out: Path,
    workers: int,
    gradebook: Path | None,
    log_json: bool,
    engine: str,
    address: str,
    gpu_share: float,
    device: str,
    isolation: str,
    course: Path | None,
) -> None:
    """Grade files, folders and archives of ASSIGNMENT. Run again, it goes on where it stopped.

    Exit status: 0 every submission has a grade, 2 wrong usage, 3 something could not be graded for a reason of ours.
    """
    from autograder.records import Request

    request = Request(
        _course(course), assignment, paths, out, gradebook, workers, device, isolation, engine, address, gpu_share
    )
    _run_batch(request, log_json=log_json)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("report"), show_default=True)
@COURSE
def demo(out: Path, course: Path | None) -> None:
    """Make a small class, grade it for real, and write its report."""
    import shutil

    from autograder import course as courses
    from autograder import demo as demos
    from autograder.records import Request

    root = _course(course)
    assignment = courses.load(root, courses.names(root)[0])
    submissions = out / "submissions"
    shutil.rmtree(submissions, ignore_errors=True)
    count = demos.make_class(assignment, submissions)
    click.echo(f"A class of {count} students has handed in {assignment.title} ({submissions}).")
    _run_batch(Request(root, assignment.name, (submissions,), out, isolation="best"), log_json=False)


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--tests", type=click.Path(path_type=Path), help="test_public.py, or the folder it is in.")
def check(notebook: Path, tests: Path | None) -> None:
    """Run the public tests on your NOTEBOOK. Exit status: 0 if all pass, 1 if not."""
    from autograder import selfcheck

    report = selfcheck.check(notebook, tests)
    click.echo(selfcheck.render(report, sys.stdout.encoding or "utf-8"))
    sys.exit(0 if report.passed else 1)


@main.command()
@click.argument("assignments", nargs=-1)
@click.option("--alone", is_flag=True, help="Every check in a worker of its own; the verdicts must not change.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, help="So often, with other inputs each time.")
@click.option("--watch", is_flag=True, help="Verify again whenever a file of the assignment changes.")
@click.option("--mutants", is_flag=True, help="Instead, show the small changes of a solution that no check notices.")
@DEVICE
@COURSE
def verify(
    assignments: tuple[str, ...],
    alone: bool,
    rounds: int,
    watch: bool,
    mutants: bool,
    device: str,
    course: Path | None,
) -> None:
    """Prove ASSIGNMENTS (all by default): solution all points, stub none, every known mistake caught and named."""
    from autograder import verify as proofs

    root = _course(course)
    manner = proofs.Manner(every_alone=alone, rounds=rounds, device=device)
    names = _names(root, assignments)
    if mutants and (alone or watch or rounds > 1):
        raise InstructorError("--mutants proves nothing, it shows what to prove: give it without the other options.")
    with proofs.Verifier(root, manner) as verifier:
        if mutants:
            sys.exit(0 if _survivors(verifier, names) else OURS)
        if not watch:
            sys.exit(0 if _verify(verifier, names) else 1)
        while True:
            before = _stamps(root, names)
            try:
                _verify(verifier, names)
            except InstructorError as error:  # half of an edit was saved; the next save may mend it
                click.echo(str(error), err=True)
            while _stamps(root, names) == before:
                time.sleep(0.2)
            click.clear()


@main.command()
@click.argument("assignments", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; say what differs.")
@click.option("--dist", is_flag=True, help="For Otter-Grader and Gradescope: a notebook and autograder.zip, in dist/.")
@COURSE
def build(assignments: tuple[str, ...], check: bool, dist: bool, course: Path | None) -> None:
    """Cut the student files of ASSIGNMENTS (all by default) from solutions/ into assignments/."""
    from autograder import build as builder
    from autograder import bundle
    from autograder import course as courses

    if check and dist:
        raise InstructorError("--check looks at assignments/, and --dist makes dist/ anew: give one of the two.")
    root = _course(course)
    found = []
    for name in _names(root, assignments):
        if dist:
            changed = builder.write(root, bundle.make(courses.load(root, name)), mode=0o600)
            click.echo(f"{name}: {', '.join(changed) if changed else 'up to date'}")
            continue
        files = builder.build(courses.load(root, name))
        if check:
            found += builder.check(root, files)
        else:
            changed = builder.write(root, files)
            click.echo(f"{name}: {', '.join(changed) if changed else 'up to date'}")
    for sentence in found:
        click.echo(sentence, err=True)
    sys.exit(1 if found else 0)


@main.command()
@click.argument("name")
@COURSE
def new(name: str, course: Path | None) -> None:
    """Begin the assignment NAME: a small one, complete and green, to be edited into your own."""
    from autograder import scaffold

    root = _course(course)
    for path in scaffold.new(root, name):
        click.echo(path.relative_to(root))
    click.echo(f"Edit them, beginning with solution.py, while `autograder verify --watch {name}` runs beside you.")


@main.command()
@click.argument("submission")
@click.argument("check")
@click.argument("points", type=float, required=False)
@click.option("--reason", required=True, help="Why; the student reads it.")
@click.option("--comment", default="", help="More for the student.")
@click.option("--by", default="", help="Who decides.")
@click.option("--bonus", is_flag=True, help="More points than the check is worth are meant.")
@click.option("--undo", is_flag=True, help="Take back what was said of this check before; without POINTS.")
@GRADEBOOK
@ASSIGNMENT
@COURSE
def adjust(
    submission: str,
    check: str,
    points: float | None,
    reason: str,
    comment: str,
    by: str,
    bonus: bool,
    undo: bool,
    gradebook: Path | None,
    assignment: str | None,
    course: Path | None,
) -> None:
    """Give POINTS for CHECK of SUBMISSION, whatever the tests say: the instructor's last word, kept on regrading.

    CHECK is the name of a check, or the id of a question graded by hand.
    """
    from autograder import lastword

    if undo == (points is not None):
        raise click.UsageError("Give either POINTS or --undo.")
    place = lastword.Place(gradebook, assignment, course or Path.cwd())
    word = lastword.Word(submission, check, points, reason, by, comment, bonus)
    click.echo(lastword.render(lastword.adjust(place, word)))


@main.command()
@click.argument("old", required=False, type=click.Path(path_type=Path))
@click.argument("new", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@GRADEBOOK
@ASSIGNMENT
def compare(old: Path | None, new: Path | None, as_json: bool, gradebook: Path | None, assignment: str | None) -> None:
    """Show who gained and who lost, and by which checks, between two gradings.

    OLD and NEW are gradebooks or folders of reports; without them, the last two versions of an assignment in one
    gradebook are compared.
    """
    import json

    from rich.console import Console

    from autograder import comparison

    if old is None:
        found = comparison.last_two(gradebook, assignment)
    elif new is None:
        raise click.UsageError("Give both OLD and NEW, or neither.")
    else:
        found = comparison.between(old, new, assignment)
    if as_json:
        click.echo(json.dumps(comparison.as_json(found), ensure_ascii=False))
    else:
        Console().print(comparison.table(found))


@main.command()
@click.argument("submission")
@click.option("--attempt", type=int, help="Its number; else the last.")
@GRADEBOOK
@ASSIGNMENT
@COURSE
def repeat(
    submission: str, attempt: int | None, gradebook: Path | None, assignment: str | None, course: Path | None
) -> None:
    """Grade SUBMISSION once more as it was recorded. Exit status: 0 identical, 1 not, 2 it can't be repeated."""
    from autograder import repeat as repetitions

    wanted = repetitions.Wanted(gradebook, assignment, submission, attempt, course or Path.cwd())
    repetition = repetitions.repeat(wanted)
    click.echo(repetitions.render(repetition))
    sys.exit(1 if repetition.differences else 0)


@main.command()
@click.argument("format", type=click.Choice(["gradescope", "canvas", "moodle", "csv", "junit", "json", "nbgrader"]))
@click.option("--template", type=click.Path(path_type=Path), help="Canvas' or Moodle's own export, to be filled in.")
@click.option("--column", help="Its heading in the template, where that is not the assignment's title or name.")
@click.option("--scale", is_flag=True, help="Scale points to the template's maximum, where that is another.")
@click.option("--roster", type=click.Path(path_type=Path), help="The class list; else solutions/roster.csv.")
@click.option(
    "--hidden",
    type=click.Choice(["visible", "after_due_date", "after_published", "hidden"]),
    help="When Gradescope shows the results of hidden checks; else as `hidden_checks` in assignment.toml says.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File, or folder for gradescope; else standard output.")
@GRADEBOOK
@ASSIGNMENT
@COURSE
def export(course: Path | None, **wanted: Any) -> None:
    """Hand grades on in FORMAT. Whoever can't be told apart is named, and never guessed.

    Exit status: 0 everybody's grade is in it, 1 somebody's is not (who, and why, is said), 2 wrong usage.
    """
    from autograder.exports import order

    delivery = order.deliver(order.Order(course=course or Path.cwd(), **wanted))
    click.echo(delivery.content, nl=False)
    for note in delivery.notes:
        click.echo(note, err=True)
    sys.exit(1 if delivery.missed else 0)


@main.command()
@click.argument("assignment")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("feedback"), show_default=True)
@GRADEBOOK
@COURSE
def feedback(assignment: str, paths: tuple[Path, ...], out: Path, gradebook: Path | None, course: Path | None) -> None:
    """Give students their own work back: the files below PATHS as pages, with results beside each answer.

    Exit status: 0 every file has its page, 1 some were not graded (which is said), 2 wrong usage.
    """
    from autograder import returned

    given = returned.give_back(returned.Request(_course(course), assignment, paths, out, gradebook))
    for sentence in given.missed:
        click.echo(sentence, err=True)
    click.echo(f"{len(given.pages)} {'page' if len(given.pages) == 1 else 'pages'} in {out}")
    sys.exit(1 if given.missed else 0)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--assignment", help="Whose stub to leave out; else those of all.")
@click.option("--least", type=click.IntRange(1, 100), default=60, show_default=True, help="Percent in common.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("similar"), show_default=True)
@COURSE
def similar(paths: tuple[Path, ...], assignment: str | None, least: int, out: Path, course: Path | None) -> None:
    """Find pairs of suspiciously similar submissions below PATHS, with what students were given left out."""
    from rich.console import Console

    from autograder import similarity

    findings = similarity.find(similarity.Request(_course(course), paths, assignment, least / 100))
    similarity.write(out, findings)
    Console().print(similarity.table(findings))
    for note in findings.notes:
        click.echo(f"Not compared: {note}", err=True)
    click.echo(f"Side by side: {out / 'index.html'}    Table: {out / 'similar.csv'}")


@main.command()
def doctor() -> None:
    """Show which isolation layers and devices can be used here, and how to get the others."""
    from rich.console import Console
    from rich.table import Table

    from autograder import gpu
    from autograder.errors import OperatorError
    from autograder.sandbox import isolation

    table = Table(show_header=True)
    for heading in ("layer", "here", "what was found"):
        table.add_column(heading)
    for layer in isolation.survey():
        table.add_row(layer.name, "yes" if layer.available else "no", layer.detail)
    for name, find in (("device: cuda", gpu.describe), ("cuda in the sandbox", gpu.try_in_sandbox)):
        try:
            table.add_row(name, "yes", find())
        except OperatorError as error:
            table.add_row(name, "no", str(error))
            break
    Console().print(table)
    try:
        click.echo(f"`grade` would use isolation: {isolation.choose('require').level}")
    except OperatorError as error:
        click.echo(f"`grade` would refuse: {error}")
        sys.exit(OURS)


@main.group()
def quiz() -> None:
    """Make, take and look into quizzes: banks of questions in quizzes/."""


@quiz.command()
@click.argument("name")
@click.option("--student", default="example", show_default=True, help="Whose numbers, and order of the choices.")
@click.option("--attempt", type=click.IntRange(min=1), default=1, show_default=True)
@LANGUAGE
@COURSE
def show(name: str, student: str, attempt: int, language: str, course: Path | None) -> None:
    """Print the quiz NAME as a student gets it, with its key and all explanations: for instructors."""
    from autograder.quiz import key

    click.echo(key.show(_course(course), name, student, attempt, language), nl=False)


@quiz.command()
@click.argument("name")
@click.option("--roster", type=click.Path(path_type=Path), help="A class list: a sheet for each student on it.")
@click.option("--student", "students", multiple=True, help="A sheet for this student; may be given several times.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the notebooks.")
@click.option("--attempt", type=click.IntRange(min=1), default=1, show_default=True, help="New numbers for each.")
@LANGUAGE
@COURSE
def sheets(
    name: str,
    roster: Path | None,
    students: tuple[str, ...],
    out: Path,
    attempt: int,
    language: str,
    course: Path | None,
) -> None:
    """Write an answer sheet of the quiz NAME for each student: a notebook with her own numbers, and no key in it."""
    from autograder.quiz import sheet

    written = sheet.make(sheet.Order(_course(course), name, out, students, roster, attempt, language))
    sheets = "1 answer sheet" if len(written) == 1 else f"{len(written)} answer sheets"
    click.echo(f"{sheets} in {out}. Graded by: autograder grade {name} FOLDER --out report/")


@quiz.command()
@click.argument("name")
@click.option("--student", help="Who takes it; else the user who is logged in.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("quiz-report"), show_default=True)
@LANGUAGE
@COURSE
def take(name: str, student: str | None, out: Path, language: str, course: Path | None) -> None:
    """Take the quiz NAME in the terminal, where the course is; or fill in NAME, an answer sheet (.ipynb), anywhere.

    Every answer is kept at once: after Ctrl-C the same command goes on.
    """
    import getpass

    from autograder.quiz import take as taking

    try:
        if name.endswith(".ipynb"):
            done = taking.fill(Path(name), click.echo, input)
            click.echo(f"{name}: every answer is in it. Hand it in." if done else f"{name}: not complete yet.")
        else:
            who = student or getpass.getuser()
            taking.take(taking.Desk(_course(course), name, who, out, language, click.echo, input))
    except (KeyboardInterrupt, EOFError):
        click.echo("\nStopped. Every answer is kept: the same command goes on from here.", err=True)
        sys.exit(130)


@quiz.command()
@click.argument("names", nargs=-1)
@COURSE
def lint(names: tuple[str, ...], course: Path | None) -> None:
    """Find what is wrong with the quizzes NAMES (all by default). Exit status: 0 nothing, 1 something."""
    from autograder.quiz import lint as linting

    found = linting.lint(_course(course), names)
    if found:
        click.echo(linting.text(found))
    sys.exit(1 if found else 0)


@quiz.command("import")
@click.argument("format")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="The quiz's name here; else what the file calls it.")
@click.option("--language", default="", help="Which it is in, where the file does not say.")
@COURSE
def import_(format: str, file: Path, name: str, language: str, course: Path | None) -> None:
    """Take a quiz over from FILE, written in FORMAT by another system, and say what is wrong with it.

    FORMAT: ai-for-beginners, moodle-xml, gift, qti-1.2, qti-2.1, jupyterquiz.
    """
    from autograder.quiz import exchange, shelf
    from autograder.quiz import lint as linting

    imported = exchange.read(format, file, language)
    for path in shelf.put(_course(course), imported.quizzes, name):
        click.echo(path)
    if imported.findings:
        click.echo(linting.text(imported.findings), err=True)
    sys.exit(1 if imported.findings else 0)


@quiz.command("export")
@click.argument("format")
@click.argument("names", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File, or a folder for it.")
@click.option("--variants", type=click.IntRange(min=1), default=10, show_default=True, help="Of each drawn item.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one gives other variants.")
@LANGUAGE
@COURSE
def export_quiz(
    format: str, names: tuple[str, ...], out: Path, variants: int, seed: int, language: str, course: Path | None
) -> None:
    """Write the quizzes NAMES in FORMAT for another system, and name what it can't hold. The file has the key in it.

    FORMAT: ai-for-beginners, moodle-xml, gift, qti-1.2, qti-2.1, jupyterquiz.
    """
    from autograder.quiz import shelf

    written = shelf.send(shelf.Wanted(_course(course), format, names, out, language, variants, seed))
    click.echo(written.path)
    for loss in written.losses:
        click.echo(f"Not in it: {loss}", err=True)


@quiz.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path("quiz-report"), show_default=True)
@LANGUAGE
@GRADEBOOK
@COURSE
def report(name: str, out: Path, language: str, gradebook: Path | None, course: Path | None) -> None:
    """Write the item analysis of the quiz NAME: difficulty, discrimination, who chose what. For instructors."""
    from autograder.quiz import analysis

    click.echo(f"Item analysis: {analysis.write(_course(course), name, gradebook, out, language)}")


def _run_batch(request: Any, *, log_json: bool) -> None:
    with _uninterrupted():
        from autograder import comparison, reports
        from autograder import course as courses
        from autograder.progress import JsonLines, Screen
        from autograder.records import Watcher

        if request.assignment in courses.quizzes(request.course):
            from autograder.quiz import grading as grader
        else:
            from autograder import batch as grader  # type: ignore[no-redef]
    shown = JsonLines(sys.stdout) if log_json else Screen(request.assignment)
    with shown:
        graded = grader.grade(request, Watcher(shown.started, shown.graded))
        moved = comparison.regraded(graded.before, graded.grades) if graded.before else None
        if moved and isinstance(shown, JsonLines):
            shown.regraded(comparison.as_json(moved))
    if not log_json:
        from rich.console import Console

        Console().print(reports.table(graded.grades))
        if moved:
            Console().print("\nRegraded:", comparison.table(moved, most=20), "", sep="\n")
        click.echo(f"Report: {request.out / 'index.html'}    Table: {request.out / 'grades.csv'}")
    for sentence in graded.review:
        click.echo(f"Look again: {sentence}", err=True)
    if graded.pending:
        click.echo(
            f"{len(graded.pending)} could not be graded for a reason that is ours; their scores are pending. "
            "Run the same command again to try them once more.",
            err=True,
        )
        sys.exit(OURS)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until this is over: torch and numpy can't be imported again where they were broken off."""
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _verify(verifier: Any, names: Iterable[str]) -> bool:
    good = True
    for name in names:
        began, count = time.monotonic(), 0
        for proof in verifier.proofs(name):
            count += 1
            good = good and not proof.problem
            points = f"{proof.grade.score or 0:g}/{proof.grade.max_score or 0:g}"
            mark = "ok  " if not proof.problem else "FAIL"
            click.echo(f"{mark} {name} {proof.kind:8} {proof.name:32} {points:>7} {proof.problem}")
        click.echo(f"{name}: {count} graded in {time.monotonic() - began:.1f} s")
    return good


def _survivors(verifier: Any, names: Iterable[str]) -> bool:
    """Show them; whether each mutant could be graded."""
    graded = True
    for name in names:
        counts: dict[str, int] = {}
        for mutant, fate in verifier.mutants(name):
            counts[fate] = counts.get(fate, 0) + 1
            graded = graded and fate != "not graded"
            if fate != "told":
                was, now = (" ".join(code.split()) for code in (mutant.was, mutant.now))
                click.echo(f"{fate:10} {name}:{mutant.line}: {was} -> {now}")
        click.echo(f"{name}: {sum(counts.values())} mutants, " + ", ".join(f"{n} {fate}" for fate, n in counts.items()))
    return graded


def _names(root: Path, wanted: tuple[str, ...]) -> list[str]:
    from autograder import course as courses

    known = courses.names(root)
    for name in wanted:
        if name not in known:
            raise InstructorError(
                f"there is no assignment {name!r} in {root / 'solutions'}: it has {', '.join(known)}."
            )
    return list(wanted) or known


def _course(given: Path | None) -> Path:
    from autograder import course as courses

    return courses.find(given or Path.cwd())


def _stamps(root: Path, names: Iterable[str]) -> dict[Path, int]:
    files = (path for name in names for path in (root / "solutions" / name).rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in files if "__pycache__" not in path.parts}


if __name__ == "__main__":
    main()
