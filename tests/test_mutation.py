"""mutation: every small change of a solution, and none of anything else; what no check notices is shown."""

import toycourse
from click.testing import CliRunner

from autograder import build, course
from autograder.cli import main
from autograder.mutation import mutants
from autograder.verify import Fate, Manner, Verifier

FRAME = """
# %%
given = 1 + 1


def answer(a, b):
    # BEGIN SOLUTION NO PROMPT
    {}
    # END SOLUTION
    raise NotImplementedError("answer")
"""


def found(source):
    return mutants(source, build.regions(source))


def changes(code):
    return {mutant.now for mutant in found(FRAME.format(code))}


def test_each_kind_of_slip():
    assert changes("return a < b") == {"(a <= b)"}
    assert changes("return (a + b) * a") == {"(a - b)", "a", "b", "((a + b) / a)", "(a + b)"}
    assert changes("return not a and b") == {"(not a) or b", "(not a)", "b", "a"}
    assert changes("return a if b else 3") == {"a", "3", "4", "(2)"}
    assert changes("return 0.5") == {"1.0", "0.25"} and changes("return True") == {"False"}
    assert changes("return a[:b]") == {"a", ":"}
    assert changes("return a.sum(-1, keepdim=True)") == {"a", "a.sum((-1))", "False", "1", "2", "(0)"}
    assert changes("return g(a, b, c)") == {"g(b, a, c)", "g(a, c)", "g(a, c, b)", "g(a, b)"}
    assert changes("a += b") == changes("raise a") == changes("a(b)") - {"b"} == {"pass"}


def test_what_can_not_be_seen_or_run_is_left_out():
    assert changes('"""1 + 1"""') == set() and changes('raise ValueError(f"{a + 1}")') == {"pass", '(f"{a + 1}")'}
    assert changes("for a in b:\n        a()\n    return ä + b") == {"pass", "(ä - b)", "ä", "b"}
    assert all(mutant.line == 8 for mutant in found(FRAME.format("return a + b")))


def test_each_mutant_differs_from_the_solution_in_one_place(quick_course):
    source = course.source(course.load(quick_course, "toy"))
    every = found(source)
    assert len(every) > 20 and len({mutant.source for mutant in every}) == len(every)
    assert all(mutant.source == _put(source, mutant) for mutant in every)


def _put(source, mutant):
    lines = source.split("\n")
    before, rest = "\n".join(lines[: mutant.line - 1]) + "\n", "\n".join(lines[mutant.line - 1 :])
    puts = (before + rest[:n] + mutant.now + rest[n + len(mutant.was) :] for n in range(len(rest)))
    return next(put for put in puts if put == mutant.source)


def test_a_check_that_is_missing_is_found(tmp_path):
    root = toycourse.make(tmp_path)

    with Verifier(root, Manner()) as verifier:
        fates = [(mutant.was, mutant.now, fate) for mutant, fate in verifier.mutants("toy")]
    whole = {(was, now): fate for was, now, fate in fates}
    refuses = "x.shape[-1] != self.weight.shape[1]", "False"
    equal = {
        ("-1", "1"),  # in x.shape[-1] of a matrix
        ("self.weight.transpose(0, 1)", "self.weight.transpose(1, 0)"),
    }
    assert {key for key, fate in whole.items() if fate == Fate.UNNOTICED} == equal
    assert whole[refuses] == whole["product + self.bias", "product"] == Fate.TOLD
    assert whole["product + self.bias", "(product - self.bias)"] == Fate.UNNAMED
    forgotten = "    with pytest.raises(ValueError):  # noqa: PT011\n        layer(torch.randn(2, 4, device=device))\n"
    toycourse.edit(root, "test_hidden.py", forgotten, "    layer(torch.randn(2, 5, device=device))\n")
    shown = CliRunner().invoke(main, ["verify", "--mutants", "toy", "--course", str(root)])
    assert shown.exit_code == 0, shown.output
    assert f"unnoticed  toy:69: {refuses[0]} -> False\n" in shown.output
    assert shown.output.splitlines()[-1].startswith(f"toy: {len(fates)} mutants, ")


def test_mutants_are_shown_alone():
    shown = CliRunner().invoke(main, ["verify", "--mutants", "--rounds", "2"])
    assert shown.exit_code == 2 and "give it without the other options" in shown.output
