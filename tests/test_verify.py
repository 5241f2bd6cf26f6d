"""verify: an assignment proved against itself, and caught where it contradicts itself."""

import pytest
import toycourse

from autograder.engines import LocalPool
from autograder.errors import InstructorError
from autograder.sandbox.spawn import Zygote
from autograder.verify import Manner, Verifier, verify

GOOD = {("solution", "solution"), ("stub", "stub"), ("variant", "product"), ("variant", "transposed")}


def proofs(root, **manner):
    return {(proof.kind, proof.name): proof for proof in verify(root, "toy", Manner(**manner))}


def test_the_toy_course_holds_with_each_check_alone(tmp_path):
    found = proofs(toycourse.make(tmp_path), every_alone=True)
    assert set(found) == GOOD | {("mistake", name) for name in toycourse.MISTAKES}
    assert {key: proof.problem for key, proof in found.items() if proof.problem} == {}
    assert found["solution", "solution"].grade.score == 10 and found["stub", "stub"].grade.score == 0


def test_each_contradiction_is_said(tmp_path):
    root = toycourse.make(tmp_path)
    toycourse.edit(root, "assignment.toml", '"test_scale_leaves_its_argument_alone", ', "")
    lost = 'fails = ["test_scale_multiplies_each_number"]'
    more = 'fails = ["test_scale_multiplies_each_number", "test_affine_refuses_another_width"]'
    twin = f"""[[mistakes]]
id = "adds-as-well"
says = "It adds, too."
find = "return x * factor"
replace = "return factor + x"
{lost}
"""
    toycourse.edit(root, "assignment.toml", lost, f"{more}\n\n{twin}")
    toycourse.edit(root, "variants/product.py", "torch.mul(x, factor)", "torch.add(x, factor)")
    alone = "@pytest.mark.points(1)\n@pytest.mark.alone\n"
    free = '@pytest.mark.points(1)\ndef test_free(student):\n    """Is a gift."""\n\n\n'
    toycourse.edit(root, "test_hidden.py", alone, free + alone)
    toycourse.edit(root, "assignment.toml", "points = 10", "points = 11")
    found = {name: proof.problem for (_, name), proof in proofs(root).items()}
    assert found["solution"] == found["transposed"] == found["no-bias"] == ""
    assert found["stub"] == "should earn nothing, and passes test_free"
    assert "loses test_scale_leaves_its_argument_alone, which `fails` does not list" in found["in-place"]
    assert "passes test_affine_refuses_another_width, which `fails` lists" in found["adds-instead"]
    assert "is not named in test_scale_multiplies_each_number (named there: adds-as-well)" in found["adds-instead"]
    assert "should earn every point, and loses" in found["product"] and "test_hidden.py:" in found["product"]


def test_a_step_that_can_not_be_lent_to_a_check_is_named(tmp_path):
    root = toycourse.make(tmp_path, "steps")
    test_file = root / "solutions" / "steps" / "test_hidden.py"
    text = test_file.read_text("utf-8")
    test_file.write_text(text.replace("x = torch.randn(3, 4)\n", "x = torch.randn(3000, 4)\n"), "utf-8")
    found = {proof.name: proof.problem for proof in verify(root, "steps", Manner()) if proof.kind == "without"}
    assert found["Layer"] == found["Tower"] == ""
    assert "should pass what halve is lent to, and loses\n    test_layer_agrees: " in found["halve"]


def test_an_unknown_assignment_is_refused(tmp_path):
    with pytest.raises(InstructorError, match="Found there: toy"):
        list(verify(toycourse.make(tmp_path), "toi", Manner()))


IN_PLACE = "    assert changed_arguments == []\n"
CHANGES = {
    "nothing": (lambda root: None, 0),
    "a check that asks for less": (
        lambda root: toycourse.edit(root, "test_hidden.py", IN_PLACE, "    assert len(changed_arguments) < 2\n"),
        "one check",
    ),
    "what a mistake should lose": (
        lambda root: toycourse.edit(root, "assignment.toml", '"test_scale_leaves_its_argument_alone", ', ""),
        "the lost",
    ),
    "a variant": (
        lambda root: toycourse.edit(root, "variants/product.py", "torch.mul(x, factor)", "torch.add(x, factor)"),
        1,
    ),
    "the solution": (
        lambda root: toycourse.edit(root, "solution.py", "product = ", "product = 1 * "),
        "all",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_change_can_touch_is_verified_again_and_all_is_said(tmp_path, monkeypatch, change):
    """With one zygote for both runs, and to the verdicts of a run that begins anew."""
    root, (edit, expected) = toycourse.make(tmp_path), CHANGES[change]
    judged, started = [], []
    grade, start = LocalPool.grade, Zygote.__init__
    monkeypatch.setattr(LocalPool, "grade", lambda self, entries: grade(self, judged.extend(entries) or entries))
    monkeypatch.setattr(
        Zygote, "__init__", lambda self, *args, **named: started.append(1) or start(self, *args, **named)
    )
    with Verifier(root, Manner()) as verifier:
        first = list(verifier.proofs("toy"))
        assert len(judged) == len(first) and all(not entry.only for entry in judged)
        judged.clear()
        edit(root)
        again = {(proof.kind, proof.name): proof for proof in verifier.proofs("toy")}
        assert len(started) == 1
    if expected == "one check":
        right = {entry.only for entry in judged if entry.id.startswith(("solution", "variant"))}
        assert right == {("test_scale_leaves_its_argument_alone",)}
    elif expected == "the lost":
        assert judged and all(entry.id.startswith(("mistake", "stub")) for entry in judged)
    else:
        assert len(judged) == (len(first) if expected == "all" else expected)
    anew = proofs(root)
    assert {key: (proof.problem, proof.grade.score) for key, proof in again.items()} == {
        key: (proof.problem, proof.grade.score) for key, proof in anew.items()
    }
