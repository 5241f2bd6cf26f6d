"""What is shown while a class is graded: a bar on a terminal, a quiet line elsewhere, JSON lines for a machine."""

import json
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autograder.records import Grade, Outcome, Start


class Screen:
    """A bar with rate, time left and failures so far; where there is no terminal, one line at the start."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[troubled]}"),
            console=self._console,
            auto_refresh=False,  # its thread would not survive the fork of a judge
            transient=True,
        )
        self._task = self._bar.add_task(title, total=None, rate="", troubled="")
        self._began = 0.0
        self._count = 0
        self._troubled = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, start: Start) -> None:
        """Say what is about to happen."""
        known = f", {start.known} of them known from the gradebook" if start.known else ""
        known += f", {start.partly} known but for some checks" if start.partly else ""
        self._console.print(
            f"{self.title}: {start.total} submissions{known}; {start.workers} at once on {start.device}, "
            f"isolation: {start.isolation}",
            highlight=False,
        )
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._bar.start()
            self._bar.update(self._task, total=start.total - start.known)

    def graded(self, grade: Grade) -> None:
        """One more is done."""
        self._count += 1
        self._troubled += grade.status is not Outcome.GRADED
        if self._console.is_terminal:
            rate = self._count / max(time.monotonic() - self._began, 1e-3)
            troubled = f"{self._troubled} in trouble" if self._troubled else ""
            self._bar.update(self._task, advance=1, rate=f"{rate:.1f}/s", troubled=troubled)
            self._bar.refresh()


class JsonLines:
    """One JSON object per event and line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._write("stopped" if error else "finished", reason=str(error) if error else "")

    def started(self, start: Start) -> None:
        """What is about to happen."""
        self._write(
            "started",
            total=start.total,
            known=start.known,
            partly=start.partly,
            workers=start.workers,
            device=start.device,
            isolation=start.isolation,
        )

    def graded(self, grade: Grade) -> None:
        """One more is done."""
        self._write(
            "graded",
            submission=grade.submission,
            status=grade.status.value,
            score=grade.score,
            max_score=grade.max_score,
            seconds=grade.seconds,
        )

    def regraded(self, found: dict[str, object]) -> None:
        """Who gained and who lost by what has changed in the assignment."""
        self._write("regraded", **found)

    def _write(self, event: str, **values: object) -> None:
        self.stream.write(json.dumps({"event": event, **values}) + "\n")
        self.stream.flush()
