"""steps: the checks of the toy course and of the course itself, by what they are about."""

from pathlib import Path

import pytest
import toycourse

from autograder import course, steps

ROOT = Path(__file__).parent.parent


def test_a_check_is_about_what_it_calls(tmp_path):
    assignment = course.load(toycourse.make(tmp_path), "toy")
    found = steps.names(assignment)
    assert list(found) == list(course.checks(assignment))
    assert found["test_scale_keeps_the_dtype"] == ("scale",)
    assert found["test_affine_agrees_with_the_reference"] == ("Affine",)  # through a function of the tests


def test_of_several_the_last_counts_and_of_none_none(tmp_path):
    root = toycourse.make(tmp_path)
    both = 'getattr(student, "Affine"), student.scale'
    toycourse.edit(root, "test_hidden.py", "student.scale(torch.randn(4, device=device), 3.0)", both)
    silent = "assert student.scale(torch.randn(3, dtype=torch.float64, device=device), 2.0).dtype == torch.float64"
    toycourse.edit(root, "test_hidden.py", silent, "assert True")
    found = steps.names(course.load(root, "toy"))
    assert found["test_scale_leaves_its_argument_alone"] == ("Affine",)
    assert found["test_scale_keeps_the_dtype"] == ()


@pytest.mark.parametrize("name", course.names(ROOT))
def test_every_check_of_the_course_is_about_a_step_that_students_see(name):
    assignment = course.load(ROOT, name)
    stub = (ROOT / "assignments" / name / f"{name}.py").read_text("utf-8")
    seen = course.defined_names(course.parse(Path("stub.py"), stub))
    for check, names in steps.names(assignment).items():
        assert names and set(names) <= set(seen), check
