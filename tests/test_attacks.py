"""Every attack, beside honest works, in the layers that this machine offers: none gains, tells or leaves a thing.

The strongest layer and `self` belong to `make test`, the others to `make test-all`. `tools/attack_table.py` prints the
same results as a table.
"""

import subprocess
import sys
import time
from pathlib import Path

import classroom
import pytest
import siege
from siege import SETTINGS

from autograder.engines import LocalPool

HERE = Path(__file__).resolve().parent
STRONGEST = "root, namespaces" if siege.ROOT else "user, namespaces"
ATTACKS = siege.attacks()
LATER = {name: pytest.mark.slow for name in SETTINGS if name not in (STRONGEST, "user, self")}


@pytest.fixture(params=[pytest.param(name, marks=LATER.get(name, ())) for name in SETTINGS], scope="module")
def results(request):
    setting = SETTINGS[request.param]
    reason = siege.available(setting)
    if reason:
        pytest.skip(reason)
    return {"setting": setting, **siege.besiege(setting)}


def test_attacks_say_what_they_try():
    assert len(ATTACKS) >= 100 and {attack.group for attack in ATTACKS.values()} == set(siege.GROUPS)
    sentences = [attack.tries for attack in ATTACKS.values()]
    assert len(set(sentences)) == len(sentences) and all(sentence.endswith(".") for sentence in sentences)
    levels = {setting.expected for setting in SETTINGS.values()}
    assert all(attack.known.keys() <= levels and all(attack.known.values()) for attack in ATTACKS.values())


def test_every_attack_gets_its_verdict(results):
    assert results["level"] == results["setting"].expected
    assert set(results["works"]) == set(ATTACKS)
    found = {name: siege.trouble(ATTACKS[name], record, results["level"]) for name, record in results["works"].items()}
    assert {name: problem for name, problem in found.items() if problem} == {}


def test_honest_works_are_not_disturbed(results):
    assert len(results["honest"]) >= siege.HONEST
    for record in results["honest"].values():
        assert (record["status"], record["score"], record["found"]) == ("graded", 10, []), record


def test_nothing_is_left(results):
    assert [results[what] for what in ("changed", "running", "left")] == [[], [], []]


def test_the_table_is_that_of_the_attacks():
    """Its rows, that is; `tools/attack_table.py --write` fills in what came of each."""
    table = (HERE.parent / "docs" / "attacks.md").read_text("utf-8")
    for attack in ATTACKS.values():
        assert f"| `{attack.name}` | {attack.tries} |" in table, "run tools/attack_table.py --write"
    assert table.count("| `") == len(ATTACKS)


@pytest.mark.slow
def test_attacks_are_no_straw_men():
    """What is refused when confined works when it is not: the harmless part of them."""
    setting = siege.Setting("off", "none", user=siege.ROOT)
    if siege.available(setting):
        pytest.skip(siege.available(setting))
    works = siege.besiege(setting, tuple(name for name in ATTACKS if name in siege.HARMLESS), honest=2)["works"]
    assert set(works) == set(siege.HARMLESS)
    assert [name for name, record in works.items() if "WORKED:" not in record["printed"]] == []


@pytest.mark.slow
def test_a_class_of_200_with_40_hostile(tmp_path):
    """The honest get the grades that they get among themselves, in 1.5 times that and the others' own limits."""
    root = siege.strict(tmp_path)
    honest = {f"s{number:03}": honest_work(number) for number in range(160)}
    hostile = {f"x{number:03}": hostile_work(name) for number, name in enumerate(chosen(40))}
    mixed = dict(sorted({**honest, **hostile}.items(), key=lambda item: item[0][1:]))
    with LocalPool(classroom.job(root)) as pool:
        alone, seconds = timed(pool, tmp_path / "alone", honest)
    with LocalPool(classroom.job(root)) as pool:
        together, longer = timed(pool, tmp_path / "together", mixed)
        family = classroom.descendants()
    assert len(together) == 200 and len({grade.score for grade in alone.values()}) > 2
    for name, grade in alone.items():
        assert classroom.timeless(together[name]) == classroom.timeless(grade)
    assert all(together[name].status == "graded" for name in hostile)
    own = sum(grade.seconds for name, grade in together.items() if name in hostile) / 2
    assert longer <= 1.5 * seconds + own + 5 and all(together[name].seconds < 10 for name in hostile)
    assert classroom.running(family) == []


def test_a_judge_keeps_no_large_answers(tmp_path):
    """Nor what it remembers of them for the diagnosis: seven checks of 32 MB are no 500 MB."""
    root = classroom.quick(tmp_path)
    classroom.toycourse.edit(root, "assignment.toml", 'reply = "4 MiB"', 'reply = "64 MiB"')
    vast = "torch.ones(2**23, dtype=torch.float16).to(torch.float32)"
    hostile = classroom.solution((classroom.SCALE, f"return {vast}"), (classroom.AFFINE, f"return {vast}"))
    with LocalPool(classroom.job(root, workers=1)) as pool:
        classroom.grade(pool, tmp_path / "before", {"honest": classroom.solution()})
        before = peak(pool.hands[0].process)
        assert classroom.grade(pool, tmp_path / "after", {"hostile": hostile})["hostile"].score <= 4
        assert peak(pool.hands[0].process) - before < 250 * 2**20


def peak(process):
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def timed(pool, folder, works):
    began = time.monotonic()
    return classroom.grade(pool, folder, works), time.monotonic() - began


def honest_work(number):
    """A work of a class: most are right, some have a mistake of the usual kind."""
    edits = [(), ((classroom.SCALE, "return x + factor"),), ((classroom.AFFINE, "return product"),), ()][number % 4]
    edits = edits or (((classroom.SCALE, "return x.mul_(factor)"),) if number % 20 == 3 else ())
    return classroom.solution(*edits, after=f"number = {number}")


def chosen(count):
    """As many attacks, taken evenly from those that need nothing of the machine they aim at."""
    names = [name for name in ATTACKS if "TARGET" not in ATTACKS[name].source]
    return [names[number * len(names) // count] for number in range(count)]


def hostile_work(name):
    return f"# %%{siege.PRELUDE.format(target={})}\n{classroom.solution()}\n# %%\n{ATTACKS[name].source}"


def test_the_table_can_be_printed():
    done = subprocess.run(
        [sys.executable, HERE.parent / "tools" / "attack_table.py", "--only", "reach/hidden_tests", STRONGEST],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and "| `reach/hidden_tests` | Reads the hidden tests. | stopped |" in done.stdout, done
