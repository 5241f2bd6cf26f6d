"""Steps that are lent, checks that train, suspicions: the course `steps`, whose steps build on one another."""

import pytest
import toycourse
from classroom import hand_in, lost

from autograder import course
from autograder.engines import Job, LocalPool
from autograder.sandbox import isolation

TEXT = (toycourse.COURSES / "steps" / "solutions" / "steps" / "solution.py").read_text("utf-8")
HALVE, LAYER = "return x / 2", "return halve(self.inner(x)) + self.offset"
TWICE, TOWER = "for _ in range(times):", "for layer in self.layers:"
LIMITS = """check_cpu = 2
check_wall = 20
submission_cpu = 60

[forbidden]
calls = ["torch.nn.functional.silu"]"""
MISSING = 'raise NotImplementedError("later")'


def work(*edits):
    text = TEXT
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


WORKS = {
    "full": work(),
    "no halve": work((HALVE, MISSING)),
    "gone": work() + "\ndel halve\n",
    "wrong halve": work((HALVE, "return x / 3")),
    "hanging halve": work((HALVE, "while True: pass")),
    "dying halve": work((HALVE, "import os; os._exit(0)")),
    "no layer": work((LAYER, MISSING), (TWICE, MISSING + "\n        for _ in range(times):")),
    "nothing but the tower": work((HALVE, MISSING), (LAYER, MISSING)),
    "wrong halve, wrong tower": work((HALVE, "return x / 3"), (TOWER, "for layer in self.layers[:1]:")),
    "uphill": work(("parameter -= 0.05", "parameter += 0.05")),
    "greedy": work(
        (HALVE, MISSING),
        (LAYER, "for _ in range(10**6): halve(x)\n        return x"),
    ),
    "huge": work((HALVE, MISSING), (LAYER, "return halve(torch.zeros(1 << 20))")),
    "deep": work((HALVE, MISSING), (TOWER, "Layer(100_000)\n        for layer in self.layers:")),
    "unlent": work(
        (HALVE, MISSING),
        (LAYER, "return halve.__closure__[1].cell_contents.call('Tower', [x], {})"),
    ),
    "cheat": "import torch\n\n\ndef own(input, inplace=False):\n    return torch._C._nn.silu(input)\n\n\n"
    + "torch.nn.functional.silu.__code__ = own.__code__\n"
    + work((HALVE, MISSING), (LAYER, LAYER + " + 0 * nn.functional.silu(x)")),
    "unasked": "import socket\nfrom autograder.sandbox import wire\n"
    + work(
        (HALVE, "socket.socket(fileno=3).sendall(b''.join(wire.pack({'lend': {'make': 'Tower'}})))\n    return x / 2")
    ),
    "copied": work((HALVE, MISSING), (TOWER, "import copy\n        for layer in copy.deepcopy(self.layers):")),
}


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    root = toycourse.make(folder, "steps")
    path = root / "solutions" / "steps" / "assignment.toml"
    path.write_text(path.read_text().replace("check_cpu = 5", LIMITS))
    assignment = course.load(root, "steps")
    profile = isolation.choose("best", private=[assignment.folder])
    with LocalPool(Job(assignment, course.secret(root), profile, workers=2)) as pool:
        return {grade.submission: grade for grade in pool.grade(hand_in(folder / "works", WORKS))}


EARLY = {"test_halve_halves", "test_halve_holds_on_another_device"}
LATE = {"test_tower_agrees", "test_tower_learns_with_every_weight"}


def test_nothing_is_lent_to_who_needs_nothing(grades):
    assert lost(grades["full"]) == {}
    assert not any("in place of yours" in note for note in grades["full"].notes)


@pytest.mark.parametrize("name", ["no halve", "gone", "hanging halve", "dying halve"])
def test_a_missing_step_costs_its_own_points_only(grades, name):
    assert set(lost(grades[name])) == EARLY
    assert any("a correct `Layer`, `Tower`, `halve` in place of yours" in note for note in grades[name].notes)


def test_a_wrong_step_is_named_and_later_ones_earn_their_points(grades):
    assert set(lost(grades["wrong halve"])) == {"test_halve_halves"}
    assert {check.misconception for check in grades["wrong halve"].checks} == {None, "thirds"}


def test_a_class_is_lent_with_its_parameters_and_methods(grades):
    assert set(lost(grades["no layer"])) == {"test_layer_agrees"}
    assert set(lost(grades["nothing but the tower"])) == {*EARLY, "test_layer_agrees"}


def test_modules_made_of_lent_ones_can_be_copied(grades):
    assert set(lost(grades["copied"])) == {*EARLY, "test_tower_learns_with_every_weight"}


def test_a_second_mistake_is_found_behind_a_lent_step(grades):
    checks = {check.name: check.misconception for check in grades["wrong halve, wrong tower"].checks if check.feedback}
    assert checks == {"test_halve_halves": "thirds", **dict.fromkeys(LATE, "one-layer")}


def test_a_check_that_trains_may_say_what_it_suspects(grades):
    (check,) = [check for check in grades["uphill"].checks if check.feedback]
    assert (check.name, check.misconception) == ("test_training_helps", "uphill")
    assert check.feedback == "The step goes up the slope, not down."


@pytest.mark.parametrize(
    ("name", "status"), [("greedy", "timed_out"), ("huge", "raised"), ("deep", "out_of_memory"), ("unlent", "raised")]
)
def test_what_is_lent_is_bounded(grades, name, status):
    found = lost(grades[name])
    check = "test_tower_agrees" if name == "deep" else "test_layer_agrees"
    assert found[check] == status


def test_a_lent_step_is_no_way_around_the_rules(grades):
    assert lost(grades["cheat"])["test_layer_agrees"] == "refused"


def test_nothing_is_lent_to_who_asks_for_it(grades):
    assert lost(grades["unasked"])["test_halve_halves"] == "crashed"


def test_an_unknown_suspicion_is_our_fault(tmp_path):
    root = toycourse.make(tmp_path, "steps")
    path = root / "solutions" / "steps" / "test_hidden.py"
    path.write_text(path.read_text().replace('suspect("uphill")', 'suspect("downhill")'))
    assignment = course.load(root, "steps")
    with LocalPool(Job(assignment, course.secret(root), isolation.choose("best"), workers=1)) as pool:
        (grade,) = pool.grade(hand_in(tmp_path / "works", {"uphill": WORKS["uphill"]}))
    assert grade.score is None
    assert "'downhill', which is no known mistake" in "".join(check.detail for check in grade.checks)
