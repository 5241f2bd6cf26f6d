"""diagnosis: known mistakes are named, alone and together; nothing is guessed; no value is told."""

from dataclasses import replace

import classroom
import pytest
import toycourse
from classroom import AFFINE, SCALE, lost, solution

from autograder.engines import LocalPool

PARTS = '''
# %%
import torch


# %%
def halves(x):
    """The two halves of the last dimension, the first one shorter where it is odd."""
    # BEGIN SOLUTION NO PROMPT
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle:]
    # END SOLUTION
    raise NotImplementedError("halves")


def double(x):
    """Twice x."""
    # BEGIN SOLUTION NO PROMPT
    return 2 * x
    # END SOLUTION
    raise NotImplementedError("double")


def third(x):
    """The third number."""
    # BEGIN SOLUTION NO PROMPT
    return x[2]
    # END SOLUTION
    raise NotImplementedError("third")


class Layer(torch.nn.Module):
    """A weight."""

    def __init__(self):
        super().__init__()
        # BEGIN SOLUTION NO PROMPT
        self.weight = torch.nn.Parameter(torch.zeros(3))
        # END SOLUTION
'''
HIDDEN = '''
import pytest
import torch
from torch.testing import assert_close


@pytest.mark.points(1)
@pytest.mark.parametrize("size", [6, 8])
def test_even(student, reference, device, size):
    """halves: cuts an even dimension."""
    x = torch.randn(3, size, device=device)
    assert_close(student.halves(x), reference.halves(x))


@pytest.mark.points(1)
def test_odd(student, reference, device):
    """halves: cuts an odd dimension."""
    x = torch.randn(3, 7, device=device)
    assert_close(student.halves(x), reference.halves(x))


@pytest.mark.points(1)
def test_double(student, reference, device):
    """double: doubles."""
    x = torch.randn(4, 5, device=device)
    assert_close(student.double(x), reference.double(x))


@pytest.mark.points(1)
def test_gradient(student, reference, device):
    """double: gradients flow through it."""
    found = [torch.randn(4, device=device).requires_grad_()]
    found.append(found[0].detach().clone().requires_grad_())
    for module, x in zip((student, reference), found, strict=True):
        module.double(x).square().sum().backward()
    assert_close(found[0].grad, found[1].grad)


@pytest.mark.points(1)
def test_third(student):
    """Finds the third number."""
    assert student.third(torch.arange(7)) == 2


@pytest.mark.points(1)
def test_learns(student):
    """The weight learns."""
    assert all(parameter.requires_grad for parameter in student.Layer().parameters())


@pytest.mark.points(1)
def test_random(student):
    """double, of noise: has mean zero."""
    torch.manual_seed(0)
    assert abs(float(student.double(torch.zeros(1000)).mean())) < 0.1
'''
TOML = """
title = "Parts"
points = 7
minutes = 5
difficulty = "gentle"
summary = "Parts."
names = ["halves", "double", "third", "Layer"]

[[mistakes]]
id = "swapped"
says = "The halves are swapped."
find = "return x[..., :middle], x[..., middle:]"
replace = "return x[..., middle:], x[..., :middle]"
fails = ["test_even", "test_odd"]

[[mistakes]]
id = "rounds-up"
says = "An odd dimension is cut after the middle."
find = "x.shape[-1] // 2"
replace = "(x.shape[-1] + 1) // 2"
fails = ["test_odd"]

[[mistakes]]
id = "adds-two"
says = "Two is added."
find = "return 2 * x"
replace = "return 2 + x"
fails = ["test_double", "test_gradient", "test_random"]

[[mistakes]]
id = "adds-one-twice"
says = "One is added, twice."
find = "return 2 * x"
replace = "return x + 1 + 1"
fails = ["test_double", "test_gradient", "test_random"]

[[mistakes]]
id = "triple"
says = "The number is tripled."
find = "return 2 * x"
replace = "return 3 * x"
fails = ["test_double", "test_gradient"]

[[mistakes]]
id = "detached"
says = "The result is cut off from its input."
find = "return 2 * x"
replace = "return 2 * x.detach()"
fails = ["test_gradient"]

[[mistakes]]
id = "seventh"
says = "The count begins with 0."
find = "x[2]"
replace = "x[7]"
fails = ["test_third"]

[[mistakes]]
id = "eighth"
says = "That is the eighth."
find = "x[2]"
replace = "x[8]"
fails = ["test_third"]

[[mistakes]]
id = "ninth"
says = "That is the ninth."
find = "x[2]"
replace = "x[9]"
fails = ["test_third"]

[[mistakes]]
id = "never-learns"
says = "The weight needs a gradient."
find = "torch.nn.Parameter(torch.zeros(3))"
replace = "torch.nn.Parameter(torch.zeros(3), requires_grad=False)"
fails = ["test_learns"]
"""
DOUBLE = "return 2 * x"
HALVES = "return x[..., :middle], x[..., middle:]"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A pool at an assignment whose functions return tuples, whose mistakes overlap, and which tests gradients."""
    with LocalPool(classroom.job(write(tmp_path_factory.mktemp("parts"), HIDDEN, TOML))) as pool:
        yield pool


def write(root, hidden, toml):
    """A course whose one assignment has these tests and mistakes; its root."""
    folder = root / "solutions" / "toy"
    folder.mkdir(parents=True)
    for name, text in (("solution.py", PARTS), ("test_hidden.py", hidden), ("assignment.toml", toml)):
        (folder / name).write_text(text, "utf-8")
    return root


def edited(*edits):
    text = PARTS
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def explained(pool, folder, *edits):
    """What each lost check is explained by, and the feedback, of a submission with these edits."""
    grade = classroom.grade(pool, folder, {"work": edited(*edits)})["work"]
    checks = [check for check in grade.checks if check.status != "passed"]
    return {check.name: check.misconception for check in checks}, {check.name: check.feedback for check in checks}


@pytest.mark.parametrize(
    ("mistake", "edits"),
    [
        ("adds-instead", [(SCALE, "return factor + x")]),
        ("in-place", [(SCALE, "x *= factor\n    return x")]),
        ("no-bias", [(AFFINE, "return torch.einsum('...i,oi->...o', x, self.weight)")]),
        ("single-precision", [(SCALE, "return x.float() * factor"), (AFFINE, "return (product + self.bias).float()")]),
    ],
)
def test_each_toy_mistake_is_named_however_it_is_written(pool, quick_course, tmp_path, mistake, edits):
    grade = classroom.grade(pool, tmp_path, {"work": solution(*edits)})["work"]
    known = next(each for each in classroom.course.load(quick_course, "toy").mistakes if each.id == mistake)
    assert sorted(lost(grade)) == sorted(known.fails)
    for check in grade.checks:
        assert check.misconception == (mistake if check.name in known.fails else None)
        assert (known.says in check.feedback) == (check.name in known.fails)
    assert mistake in toycourse.MISTAKES


def test_two_mistakes_in_different_names_are_both_named(pool, tmp_path):
    work = solution((SCALE, "return x + factor"), (AFFINE, "return product"))
    grade = classroom.grade(pool, tmp_path, {"work": work})["work"]
    assert {check.name: check.misconception for check in grade.checks if check.misconception} == {
        "test_scale_multiplies_each_number": "adds-instead",
        "test_affine_agrees_with_the_reference": "no-bias",
        "test_affine_has_the_right_gradients": "no-bias",
    }


def test_two_that_cant_be_told_apart_are_both_offered(parts, tmp_path):
    mistakes, said = explained(parts, tmp_path, (DOUBLE, "return x + 2.0"))
    assert mistakes == dict.fromkeys(("test_double", "test_gradient", "test_random"), "adds-two|adds-one-twice")
    assert said["test_double"] == "One of two things. Either: Two is added. Or: One is added, twice."


def test_what_raises_the_same_error_is_told_apart_by_its_words(parts, tmp_path):
    mistakes, _ = explained(parts, tmp_path, ("return x[2]", "place = 8\n    return x[place]"))
    assert mistakes == {"test_third": "eighth"}
    mistakes, _ = explained(parts, tmp_path / "other", ("return x[2]", "raise IndexError('too far')"))
    assert mistakes == {"test_third": None}


def test_a_weight_that_does_not_learn_is_named(parts, tmp_path):
    frozen = "torch.nn.Parameter(torch.zeros(3)).requires_grad_(False)"
    mistakes, _ = explained(parts, tmp_path, ("torch.nn.Parameter(torch.zeros(3))", frozen))
    assert mistakes == {"test_learns": "never-learns"}


def test_two_in_one_place_are_found_as_a_pair(parts, tmp_path):
    work = (HALVES, "return x[..., middle:], x[..., :middle]"), ("x.shape[-1] // 2", "-(-x.shape[-1] // 2)")
    mistakes, said = explained(parts, tmp_path, *work)
    assert mistakes == {"test_even": "swapped", "test_odd": "swapped+rounds-up"}
    assert said["test_odd"].startswith("Two things at once. The halves are swapped. And: An odd dimension")


def test_a_lost_gradient_is_named_by_replay(parts, tmp_path):
    mistakes, _ = explained(parts, tmp_path, (DOUBLE, "return 2 * x.clone().detach()"))
    assert mistakes == {"test_gradient": "detached"}


@pytest.mark.parametrize(
    ("wrong", "holds"),
    [
        ("return 2 * x + 0.25", ""),
        ("return 2.001 * x", " What does hold: double, of noise: has mean zero."),
        ("return 2 * x.flip(0)", " What does hold: gradients flow through it; double, of noise: has mean zero."),
    ],
)
def test_what_nobody_foresaw_is_not_guessed(parts, tmp_path, wrong, holds):
    mistakes, said = explained(parts, tmp_path, (DOUBLE, wrong))
    assert "test_double" in mistakes and set(mistakes.values()) == {None}
    assert f"matches none of the usual mistakes.{holds} Work the formula through" in said["test_double"]


def test_random_answers_are_not_explained(parts, tmp_path):
    mistakes, _ = explained(parts, tmp_path, (DOUBLE, "return 2 * x + torch.rand(x.shape)"))
    assert set(mistakes.values()) == {None}


DRAWN = '''

@pytest.mark.points(1)
def test_drawn(student):
    """Doubles what is drawn: nothing, or the number whose double is two more."""
    x = 2 * torch.randint(0, 2, (1,))
    assert student.double(x) == 2 * x
'''


def test_a_check_passed_by_luck_hides_no_name(tmp_path):
    toml = TOML.replace("points = 7", "points = 8").replace('"test_random"', '"test_random", "test_drawn"')
    root = write(tmp_path / "course", HIDDEN + DRAWN, toml)
    works = {f"work{number}": edited((DOUBLE, "return x + 2")) + f"# {number}\n" for number in range(12)}
    with LocalPool(replace(classroom.job(root), secret=bytes(32))) as pool:
        grades = classroom.grade(pool, tmp_path, works).values()
    assert {len(lost(grade)) for grade in grades} == {3, 4}
    for grade in grades:
        assert {check.misconception for check in grade.checks if check.status != "passed"} == {
            "adds-two|adds-one-twice"
        }


PROPERTIES = {
    "three things": ("halves", "middle = 1\n    return x, x, x", "should return 2 things; yours returns 3"),
    "one tensor": ("halves", "return x[..., :middle]", "should return 2 things, in a tuple; yours returns one tensor"),
    "nothing": ("halves", "return None", "yours returns None (is a `return` missing?)"),
    "an object": ("halves", "return object()", "yours returns an object of another kind"),
    "second dtype": ("halves", "return x[..., :middle], x.double()", "The second result of `halves` has another dtype"),
    "flat": ("double", "return (2 * x).flatten()", "`double` should have 2 dimensions for this input; yours has 1"),
    "transposed": ("double", "return 2 * x.mT", "`double` has a wrong shape"),
    "dtype": ("double", "return 2 * x.double()", "`double` has another dtype"),
    "NaN": ("double", "return 2 * x / 0 * 0", "`double` holds NaN"),
    "infinite": ("double", "return 2 * x / 0", "`double` holds infinite values"),
    "a number": ("double", "return 2.0", "`double` should be a tensor; yours is a float"),
    "a tuple": ("double", "return 2 * x, x", "`double` should be a tensor; yours is a tuple"),
}  # fmt: skip


@pytest.fixture(scope="module")
def properties(parts, tmp_path_factory):
    old = {"halves": HALVES, "double": DOUBLE}
    works = {name: edited((old[function], new)) for name, (function, new, _) in PROPERTIES.items()}
    return classroom.grade(parts, tmp_path_factory.mktemp("properties"), works)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_is_named_where_no_mistake_fits(properties, name):
    function, _, sentence = PROPERTIES[name]
    check = next(
        c for c in properties[name].checks if c.name == {"halves": "test_even", "double": "test_double"}[function]
    )
    assert check.status == "failed" and check.misconception is None
    assert sentence in check.feedback


GRADIENTS = {
    "cut off": ("return torch.tensor((2 * x).tolist())", "detached"),
    "NaN": ("return 2 * x + 0 * (0 * x).abs().sqrt()", "the gradient holds NaN"),
    "of another formula": ("return 3 * x - x.detach()", "the gradient is not the gradient of the formula"),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_is_wrong_with_a_gradient_is_said(parts, tmp_path, name):
    wrong, expected = GRADIENTS[name]
    mistakes, said = explained(parts, tmp_path, (DOUBLE, wrong))
    if expected == "detached":
        assert mistakes["test_gradient"] == "detached"
    else:
        assert mistakes == {"test_gradient": None} and expected in said["test_gradient"]


def test_a_gradient_that_does_not_flow_is_said_where_no_mistake_fits(pool, tmp_path):
    work = solution((AFFINE, "return (product + self.bias).detach()"))
    grade = classroom.grade(pool, tmp_path, {"work": work})["work"]
    (check,) = [check for check in grade.checks if check.status != "passed"]
    assert check.name == "test_affine_has_the_right_gradients" and check.misconception is None
    assert check.feedback.startswith("No gradient flows through your module")


def test_no_mistake_is_found_in_correct_work(parts, tmp_path):
    assert explained(parts, tmp_path, (DOUBLE, "return x + x"), (HALVES, "return x.tensor_split([middle], -1)")) == (
        {},
        {},
    )
