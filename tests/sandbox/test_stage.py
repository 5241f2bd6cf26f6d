"""Operations on somebody's names: answers, seeds, in-place changes, and exceptions described."""

import linecache
import random
import textwrap

import numpy
import pytest
import torch

from autograder.sandbox.stage import MAX_TEXT, Raised, Stage, describe, reseed
from autograder.sandbox.wire import Handle


def stage(source):
    """A stage on which one cell has run."""
    source = textwrap.dedent(source)
    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(keepends=True), "<cell 1>")
    names = {}
    exec(compile("import random, numpy, torch\n" + source, "<cell 1>", "exec"), names)
    return Stage(names)


def call(target, *args, **more):
    """A call as the grader writes it. Tensors are found among the arguments."""
    tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
    base = {"op": "call", "target": target, "method": None, "args": list(args), "kwargs": {}, "leaves": []}
    return {**base, "tensors": tensors, **more}


def test_kinds_tells_names_apart():
    room = stage("""
        def f(): pass
        class C: pass
        class M(torch.nn.Module): pass
        module, number, partial, c = M(), 3, __import__("functools").partial(f), C()
    """)
    names = ["f", "C", "M", "module", "number", "partial", "c", "absent"]
    assert room.perform({"op": "kinds", "names": names}) == {
        "f": "function", "C": "class", "M": "class", "module": "module",
        "number": "object", "partial": "function", "c": "object",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3", 3), ("None", None), ("'a'", "a"), ("(1, [2.5, True])", (1, [2.5, True])), ("{'a': (1,)}", {"a": (1,)}),
        ("numpy.float64(1.5)", 1.5), ("numpy.int32(4)", 4), ("numpy.bool_(True)", True), ("torch.Size([2, 3])", (2, 3)),
        ("torch.float64", torch.float64), ("torch.device('cpu')", torch.device("cpu")),
        ("__import__('collections').namedtuple('P', 'x y')(1, 2)", (1, 2)),
        ("__import__('enum').IntEnum('E', 'A').A", 1), ("type('S', (str,), {})('text')", "text"),
    ],
    ids=str,
)  # fmt: skip
def test_plain_data_comes_back_as_plain_data(expression, value):
    answer = stage(f"def f(): return {expression}").perform(call("f"))["value"]
    assert answer == value and type(answer) is type(value)


@pytest.mark.parametrize("expression", ["object()", "numpy.ones(2)", "{1, 2}", "(x for x in [1])", "b'1'", "print"])
def test_what_can_not_travel_becomes_a_handle(expression):
    room = stage(f"thing = {expression}\ndef f(): return [thing, thing]\ndef is_it(x): return x is thing")
    one, other = room.perform(call("f"))["value"]
    assert isinstance(one, Handle) and one == other
    assert room.perform(call("is_it", one))["value"] is True


def test_a_named_tuple_is_a_tuple_outside_and_itself_again_inside():
    room = stage("""
        from typing import NamedTuple
        class Pair(NamedTuple): keys: torch.Tensor; values: torch.Tensor
        class Cache(NamedTuple): length: int; pairs: list
        def start(): return Cache(0, [Pair(torch.ones(1, 2), torch.zeros(1, 2))])
        def step(cache):
            pairs = [Pair(torch.cat([pair.keys, pair.values]), pair.values) for pair in cache.pairs]
            return Cache(cache.length + 1, pairs)
        def kind(value): return type(value).__name__
    """)
    cache = room.perform(call("start"))["value"]
    assert type(cache) is tuple and type(cache[1][0]) is tuple
    for length in (1, 2, 3):
        cache = room.perform(call("step", cache))["value"]
        assert cache[0] == length and cache[1][0][0].shape == (length + 1, 2)
    assert room.perform(call("kind", cache))["value"] == "Cache"
    assert room.perform(call("kind", (1, 2)))["value"] == "tuple"
    assert room.perform(call("kind", cache, seed=1))["value"] == "tuple"  # another check


@pytest.mark.parametrize("base", ["dict", "__import__('collections').defaultdict"])
def test_a_dictionary_of_a_class_of_its_own_stays_inside(base):
    room = stage(f"""
        class Cache({base}):
            def grown(self): self["n"] = self.get("n", 0) + 1; return self
        def step(cache=None): return (Cache() if cache is None else cache).grown()
    """)
    cache = room.perform(call("step"))["value"]
    assert isinstance(cache, Handle)
    cache = room.perform(call("step", cache))["value"]
    assert room.perform(call(cache, "n", method="get"))["value"] == 2


def test_methods_and_attributes_of_what_stayed():
    room = stage("""
        class Counter:
            def __init__(self, start): self.count = start
            def add(self, n, twice=False): self.count += n * (1 + twice); return self.count
    """)
    counter = room.perform(call("Counter", 5))["value"]
    assert room.perform(call(counter, 2, method="add", kwargs={"twice": True}))["value"] == 9
    assert room.perform({"op": "get", "target": counter, "name": "count"})["value"] == 9
    assert room.perform({"op": "get", "target": None, "name": "Counter"})["value"].kind == "class"
    missing = room.perform({"op": "get", "target": counter, "name": "absent"})
    assert missing.type == "AttributeError"


CHANGES = {
    "x.add_(1)": True, "x[0] = 7": True, "x.data.mul_(2)": True, "x.numpy()[0] = 9": True, "x.data = x + 1": True,
    "x.unsqueeze_(0)": True, "x.t_()": True, "x.view(-1)[0] = 5": True, "x.clone().add_(1)": False, "x.add(1)": False,
    "x = x + 1": False, "x.requires_grad_()": False, "x.add_(0)": False, "torch.nn.init.normal_(x)": True,
    "x.detach().zero_()": True, "x.copy_(x.clone())": False,
}  # fmt: skip


@pytest.mark.parametrize("statement", CHANGES)
def test_changes_in_place_are_noticed(statement):
    room = stage(f"def f(y, x):\n    {statement}")
    answer = room.perform(call("f", torch.ones(2), torch.randn(2, 3)))
    assert answer["changed"] == ([1] if CHANGES[statement] else [])


@pytest.mark.parametrize("shape", [(), (0,), (1,)], ids=str)
def test_changes_of_small_tensors_are_noticed(shape):
    room = stage("def f(x): x.fill_(3)")
    changed = [0] if shape != (0,) else []
    assert room.perform(call("f", torch.ones(4)[::2].as_strided(shape, (2,) * len(shape))))["changed"] == changed


def test_nan_is_no_change_and_its_sign_is_one():
    room = stage("def same(x): pass\ndef negate(x): x.neg_()")
    assert room.perform(call("same", torch.tensor([float("nan")])))["changed"] == []
    assert room.perform(call("negate", torch.tensor([0.0])))["changed"] == [0]


def test_gradients_of_what_was_called():
    room = stage("def f(x, w): return x * w, w.detach(), x.argmax(), 'text', [x * w]")
    x, w = torch.randn(3), torch.randn(3)
    operation = call("f", x, w, leaves=[0, 1], graph=7)
    product, *_ = room.perform(operation)["value"]
    assert product.requires_grad
    for _ in range(2):
        backward = {"op": "backward", "graph": 7, "cotangents": [torch.ones(3), None]}
        assert all(map(torch.equal, room.perform(backward)["value"], (w, x)))
    assert room.perform({"op": "backward", "graph": 7, "cotangents": [None, None]})["value"] == [None, None]
    freed = room.perform({"op": "backward", "graph": 7, "cotangents": [None, None], "free": [7]})
    assert freed.type == "KeyError" and not room.graphs


def test_seeds_start_every_source_of_random_numbers():
    room = stage("def f(): return [random.random(), numpy.random.rand(), torch.rand(3)]")

    def draw(**seed):
        *numbers, tensor = room.perform(call("f", **seed))["value"]
        return [*numbers, *tensor.tolist()]

    first = draw(seed=2**40 + 1)
    assert draw() != first != draw(seed=2)
    assert draw(seed=2**40 + 1) == first


def test_reseeding_is_complete():
    reseed(3)
    one = random.random(), numpy.random.rand(), torch.rand(1).item()
    reseed(3)
    assert one == (random.random(), numpy.random.rand(), torch.rand(1).item())


def test_a_replay_gives_the_same_answers():
    source = """
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.drop = torch.nn.Linear(3, 2), torch.nn.Dropout(0.5)
            def forward(self, x): return self.drop(self.layer(x))
    """
    x = torch.randn(4, 3)
    answers = []
    for _ in range(2):
        room = stage(source)
        net = room.perform(call("Net", seed=11))["value"]
        answers.append([room.perform(call(net, x.clone()))["value"] for _ in range(3)])
    assert all(map(torch.equal, *answers))
    assert not torch.equal(answers[0][0], answers[0][1])


class TestModules:
    source = """
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3, bias=False)
                self.b.weight = self.a.weight
        class Named(Net):
            def load_named(self, weights):
                self.a.load_state_dict({"weight": weights["matrix"], "bias": weights["shift"]})
    """

    def module(self, name="Net"):
        room = stage(self.source)
        return room, room.perform(call(name))["value"]

    def test_state_and_load(self):
        room, net = self.module()
        state = room.perform({"op": "state", "target": net})["value"]
        assert list(state) == ["a.weight", "a.bias", "b.weight"]
        fresh = {name: torch.randn_like(tensor) for name, tensor in state.items()}
        fresh["b.weight"] = fresh["a.weight"]
        assert room.perform({"op": "load", "target": net, "weights": fresh, "named": True}) == {"value": None}
        state = room.perform({"op": "state", "target": net})["value"]
        assert all(torch.equal(fresh[name], state[name]) for name in fresh)

    def test_a_missing_weight_is_an_error(self):
        room, net = self.module()
        raised = room.perform({"op": "load", "target": net, "weights": {"a.bias": torch.ones(3)}, "named": False})
        assert raised.type == "RuntimeError" and "Missing key" in raised.message

    def test_load_named_takes_the_names_of_the_assignment(self):
        room, net = self.module("Named")
        weights = {"matrix": torch.randn(3, 3), "shift": torch.randn(3)}
        assert room.perform({"op": "load", "target": net, "weights": weights, "named": True}) == {"value": None}
        parameters = room.perform({"op": "parameters", "target": net})["value"]
        assert torch.equal(parameters["a.weight"], weights["matrix"])
        assert parameters["a.weight"] is parameters["b.weight"]

    def test_write_and_cast(self):
        room, net = self.module()
        room.perform({"op": "write", "target": net, "parameters": {"a.bias": torch.full((3,), 2.0)}})
        room.perform({"op": "cast", "target": net, "to": torch.float64})
        bias = room.perform({"op": "parameters", "target": net})["value"]["a.bias"]
        assert bias.tolist() == [2, 2, 2] and bias.dtype == torch.float64


def test_an_exception_is_told_with_the_lines_of_its_cell():
    raised = stage("""
        class Own(ValueError): pass
        def inner(x): raise Own("seven")
        walk = torch.utils._pytree.tree_map
        def f(x): return walk(inner, x)
    """).perform(call("f", 1))
    assert (raised.type, raised.message) == ("Own", "seven")
    assert raised.bases[:2] == ("Own", "ValueError") and "Exception" in raised.bases
    assert raised.where.splitlines()[0].startswith("f, line")
    assert raised.where.splitlines()[-1].startswith("inner, line") and "<cell 1>" in raised.where
    assert "_pytree.py" not in raised.where


@pytest.mark.parametrize(
    "error", ["SystemExit(0)", "GeneratorExit()", "BaseException('x')", "__import__('pytest').skip.Exception('x')"]
)
def test_what_is_no_ordinary_exception_is_told_too(error):
    assert isinstance(stage(f"def f(): raise {error}").perform(call("f")), Raised)


def test_an_interrupt_from_the_keyboard_is_for_the_person_at_it():
    with pytest.raises(KeyboardInterrupt):
        stage("def f(): raise KeyboardInterrupt").perform(call("f"))


@pytest.mark.parametrize("body", ["1 / 0", "return 3", "raise SystemExit", "return type('S', (str,), {})('x')"])
def test_an_exception_that_can_not_be_shown(body):
    raised = stage(f"""
        class Shy(Exception):
            def __str__(self): {body}
        def f(): raise Shy
    """).perform(call("f"))
    assert raised.type == "Shy" and type(raised.message) is str


def test_descriptions_are_bounded():
    raised = stage("""
        def down(n): return down(n + 1)
        def f(): raise ValueError("x" * 10**6)
    """)
    assert len(raised.perform(call("f")).message) == MAX_TEXT
    deep = raised.perform(call("down", 0))
    assert deep.type == "RecursionError" and len(deep.where.splitlines()) <= 6
    assert describe(ValueError("a")).where == ""


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "nonsense"}, {}, {"op": "get", "target": None, "name": "absent"}, call("absent"),
        call(Handle(99, "module", "")),
        {"op": "backward", "graph": 1, "cotangents": []}, {"op": "state", "target": "f"}, call("f", leaves=[5]),
    ],
    ids=str,
)  # fmt: skip
def test_an_operation_that_can_not_be_performed_is_told(operation):
    assert isinstance(stage("def f(): pass").perform(operation), Raised)


def test_a_result_that_contains_itself_is_told():
    room = stage("loop = []\nloop.append(loop)\ndef f(): return loop")
    assert room.perform(call("f")).type == "RecursionError"


@pytest.mark.parametrize("body", ["x.t_()", "x[0] = 7", "x.resize_(1)", "x.data = x.data + 1", "x.detach().zero_()"])
def test_changes_are_noticed_whatever_lies_beneath(body):
    """The same with copies as with one buffer that all arguments lie in."""
    room = stage(f"def f(x, y): {body}")
    memory = bytearray(torch.arange(1.0, 14.0).numpy().tobytes() + b"odd")
    whole = torch.frombuffer(memory, dtype=torch.float32, count=13)
    x, y = whole[:9].view(3, 3), whole[9:]
    assert room.perform({**call("f", x, y), "memory": memory})["changed"] == [0]
    assert room.perform(call("f", torch.rand(3, 3) + 1, y))["changed"] == [0]
