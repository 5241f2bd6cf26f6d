"""One archive by three routes: this project, a hosted service, plain `otter run`; and where they differ on purpose."""

import json
import os
import subprocess
import sys
from pathlib import Path

import classroom
import hosting
import pytest
import toycourse

from autograder import bundle, course, master

pytest.importorskip("otter")
pytest.importorskip("ipykernel")

ROUTES = Path(__file__).parent.parent / "benchmarks" / "three_routes.py"


def compare(root, name, submissions):
    command = [sys.executable, str(ROUTES), name, "--course", str(root), "--submissions", str(submissions)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_table_shows_the_same_points_three_times(tmp_path):
    said = compare(toycourse.make(tmp_path, "steps"), "steps", 2)
    assert said.splitlines()[-1].split()[::3] == ["steps", "0"]
    solution = next(line.split() for line in said.splitlines() if line.startswith("solution"))
    assert solution[1] == solution[2] == solution[3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["toy", "steps"])
def test_every_mistake_earns_the_same(tmp_path, name):
    assert compare(toycourse.make(tmp_path, name), name, 25).splitlines()[-1].split()[-1] == "0"


# Where the routes differ on purpose: docs/otter.md says so.


class Three:
    """The quick toy course, its archive, and the three routes."""

    def __init__(self, folder):
        self.folder = folder
        self.root = classroom.quick(folder)
        self.assignment = course.load(self.root, "toy")
        made = bundle.make(self.assignment)
        self.archive = folder / "autograder.zip"
        self.archive.write_bytes(made["dist/toy/autograder.zip"])

    def walled(self, name, text):
        """Points here and in the hosted layout, which are the same."""
        here = classroom.grade_once(self.root, self.folder / name, {"toy": self.notebook(text).encode()})["toy"]
        home = self.folder / name / "home"
        hosting.run(hosting.lay_out(self.archive, home, {"toy.ipynb": self.notebook(text)}))
        points = {check.name: check.points for check in here.checks}
        assert hosting.points(hosting.results(home)) == points
        return points

    def otter(self, name, text, seconds=120):
        """Points by plain `otter run`; None where it fails."""
        out = self.folder / name / "otter"
        out.mkdir(parents=True)
        (out / "toy.ipynb").write_text(self.notebook(text), "utf-8")
        command = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", str(self.archive), "-o", str(out)]
        done = subprocess.run(
            [*command, str(out / "toy.ipynb")], cwd=out, capture_output=True, text=True, timeout=seconds,
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(out)},
        )  # fmt: skip
        if done.returncode or not (out / "results.json").exists():
            return None
        tests = json.loads((out / "results.json").read_text("utf-8"))["tests"]
        return {test["name"]: test["score"] for test in tests if test.get("max_score")}

    def notebook(self, text):
        return master.handed_in(self.assignment, text)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return Three(tmp_path_factory.mktemp("three"))


@pytest.mark.slow
def test_a_crash_costs_everything_in_otter_and_one_function_here(three):
    text = classroom.scale("import os; os._exit(1)")
    points = three.walled("crash", text)
    assert {name for name, each in points.items() if each} == {name for name in classroom.CHECKS if "affine" in name}
    assert not any((three.otter("crash", text) or {}).values())


@pytest.mark.slow
def test_a_cell_that_never_ends_holds_otter_up_and_costs_one_cell_here(three):
    text = classroom.solution(after="while True: pass")
    assert three.walled("hang", text) == classroom.CHECKS
    with pytest.raises(subprocess.TimeoutExpired):
        three.otter("hang", text, seconds=40)


@pytest.mark.slow
def test_a_forbidden_call_earns_points_in_otter_and_none_here(three):
    before = "product = x @ self.weight.transpose(0, 1)  # (..., out_features)"
    text = classroom.solution((before, "product = nn.functional.linear(x, self.weight)"))
    points = three.walled("forbidden", text)
    assert not any(each for name, each in points.items() if "affine" in name and "refuses" not in name)
    assert three.otter("forbidden", text) == classroom.CHECKS


@pytest.mark.slow
def test_code_that_forges_its_verdicts_succeeds_in_otter_and_not_here(three):
    forged = "from autograder import unwalled\nunwalled.hold = lambda *_: None"
    text = classroom.solution((classroom.SCALE, "return None"), (classroom.AFFINE, "return None"), before=forged)
    assert sum(three.walled("forged", text).values()) < 5
    assert three.otter("forged", text) == classroom.CHECKS


@pytest.mark.slow
def test_more_memory_than_allowed_is_refused_here_only(three):
    text = classroom.scale("y = [torch.empty(2**26) for _ in range(6)]\nreturn x * factor")
    points = three.walled("memory", text)
    assert not any(each for name, each in points.items() if "scale" in name)
    assert three.otter("memory", text) == classroom.CHECKS
