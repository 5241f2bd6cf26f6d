"""What a test sees of a submission, through a real worker: answers, gradients, modules, exceptions."""

import builtins
import gc

import numpy
import pytest
import torch
from torch.testing import assert_close

from autograder.errors import WireError
from autograder.records import Status
from autograder.sandbox.student import (
    Conversation,
    MissingName,
    RemoteCallable,
    RemoteModule,
    RemoteObject,
    StudentRaised,
)
from autograder.sandbox.wire import Facts, Handle, Message

FUNCTIONS = """
import math, numpy, torch

number = 3
words = ("a", ["b"])
table = {"a": torch.arange(3)}

def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)
    return weights @ value, weights

def product(x, y): return x * y
def echo(*args, **kwargs): return args, kwargs
def made(dtype, device="cpu"): return torch.ones(2, dtype=dtype, device=device)
def several(x): return {"double": 2 * x, "index": x.argmax(), "count": x.numel(), "more": [x.detach(), (x ** 2,)]}
def ignores(x, y): return x * 2
def constant(x): return torch.ones(3)
def nothing(x): return None
def same(x): return x
def twice(x): y = x * 3; return y, y
def spoil(x): x.mul_(2); return x.sum()
def spoil_data(x): x.data.mul_(2); return x.sum()
def grad_mode(): return torch.is_grad_enabled()
def draw(): return torch.rand(3)
"""
MODULES = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, size, hidden=4):
        super().__init__()
        self.size = size
        self.first = nn.Linear(size, hidden)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(hidden, 1)
        self.register_buffer("scale", torch.ones(1))
    def forward(self, x, power=1):
        return self.last(self.drop(self.first(x).tanh())).pow(power) * self.scale
    def hidden(self, x): return self.first(x)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
    def forward(self, x): return self.b(self.a(x).sin())

class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        weight = torch.randn(3, 3)
        self.a, self.b = nn.Parameter(weight), nn.Parameter(weight)
    def forward(self, x): return (x @ self.a).sin() @ self.b

class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        q, k = torch.randn(6, 3).chunk(2)
        self.q, self.k = nn.Parameter(q), nn.Parameter(k)
    def forward(self, x): return x @ self.q + 2 * (x @ self.k)

class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(2, 3))
    def load_named(self, weights): self.matrix.data = weights["weight"].t().contiguous()
    def forward(self, x): return x @ self.matrix

class Plain:
    def __init__(self, start): self.start = start
    def add(self, n): return self.start + n

def fit(model, x, y, steps=20):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        optimizer.step()
"""
LOCAL = {}
exec(FUNCTIONS + MODULES, LOCAL)


@pytest.fixture
def conversation(desk):
    return desk(FUNCTIONS, MODULES).converse()


@pytest.fixture
def student(desk):
    return desk(FUNCTIONS, MODULES).student()


def leaf(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


class TestCalls:
    def test_agrees_with_the_function_itself(self, student):
        query, key, value = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 6)
        mask = torch.ones(3, 5).tril() > 0
        assert_close(student.attention(query, key, value), LOCAL["attention"](query, key, value))
        named = student.attention(query, value=value, key=key, mask=mask)
        assert_close(named, LOCAL["attention"](query, key, value, mask))
        assert type(named) is tuple and type(named[0]) is torch.Tensor

    def test_plain_data_goes_there_and_back(self, student):
        given = (1, 2.5, None, True, "é", [1, (2,)], {"a": 1, 2: [None]}, torch.float16, torch.device("cpu"))
        assert student.echo(*given, k=given) == (given, {"k": given})
        assert student.echo(torch.Size([1, 2]))[0] == ((1, 2),)

    def test_a_dtype_and_a_device_may_be_given(self, student):
        assert student.made(torch.float64, device=torch.device("cpu")).dtype == torch.float64

    def test_values_of_the_notebook(self, student):
        assert (student.number, student.words) == (3, ("a", ["b"]))
        assert student.table["a"].tolist() == [0, 1, 2]

    def test_views_and_expanded_tensors_arrive_as_such(self, desk):
        student = desk("def layout(x): return list(x.stride()), x.storage_offset()").student()
        assert student.layout(torch.zeros(4, 6).t()) == ([1, 6], 0)
        assert student.layout(torch.zeros(1).expand(5)) == ([0], 0)

    def test_a_name_that_is_missing(self, student):
        with pytest.raises(MissingName):
            student.absent()
        assert not hasattr(student, "absent")
        with pytest.raises(AttributeError):
            student.__wrapped__()

    def test_the_seed_of_a_conversation_starts_random_numbers(self, desk):
        place = desk(FUNCTIONS)
        one, two, other = (place.student(place.converse(seed=seed)).draw for seed in (1, 1, 2))
        first, second = one(), one()
        assert not torch.equal(first, second)
        assert torch.equal(two(), first)
        assert not torch.equal(other(), first)

    def test_a_conversation_is_recorded(self, desk):
        place = desk(FUNCTIONS)
        talk = place.converse(recording=True)
        x = leaf(2)
        place.student(talk).product(x, x).sum().backward()
        with pytest.raises(StudentRaised):
            place.student(talk).product(x)
        assert [exchange.operation["op"] for exchange in talk.recorded] == ["call", "backward", "call"]
        with torch.no_grad():
            x.zero_()
        assert talk.recorded[0].operation["args"][0].abs().sum() > 0
        assert talk.recorded[2].answer.type == "TypeError"


class TestChanges:
    def test_are_noticed_and_never_applied(self, conversation, desk):
        student = desk(FUNCTIONS).student(conversation)
        for name in ("spoil", "spoil_data"):
            x = torch.ones(3)
            assert getattr(student, name)(x) == 6
            assert x.tolist() == [1, 1, 1]
        student.product(torch.ones(2), torch.ones(2))
        assert conversation.changed == ["tensor 1 given to spoil", "tensor 1 given to spoil_data"]

    def test_of_a_leaf_are_an_error_as_they_are_at_home(self, student):
        with pytest.raises(RuntimeError, match="in-place"):
            student.spoil(leaf(3))

    def test_of_the_answer_do_not_reach_the_worker(self, student):
        student.table["a"].fill_(9)
        assert student.table["a"].tolist() == [0, 1, 2]


class TestGradients:
    def test_equal_those_of_the_function_itself(self, student):
        inputs = [leaf(3, 4), leaf(5, 4), leaf(5, 2)]
        context, weights = student.attention(*inputs)
        found = torch.autograd.grad((context**2).sum() + weights[:, 0].sum(), inputs)
        context, weights = LOCAL["attention"](*inputs)
        assert_close(found, torch.autograd.grad((context**2).sum() + weights[:, 0].sum(), inputs))

    @pytest.mark.parametrize("fast", [False, True])
    def test_gradcheck(self, student, fast):
        inputs = [leaf(2, 3), leaf(2, 3), leaf(2, 2)]
        assert torch.autograd.gradcheck(student.attention, inputs, fast_mode=fast)
        assert torch.autograd.gradcheck(lambda x: student.attention(x, x, x)[0], inputs[:1], fast_mode=fast)

    def test_gradcheck_finds_a_wrong_gradient(self, desk):
        student = desk("def half(x): return x * 0.5 + x.detach()").student()
        with pytest.raises(RuntimeError, match="Jacobian mismatch"):
            torch.autograd.gradcheck(student.half, [leaf(3)], fast_mode=True)

    def test_one_tensor_as_query_key_and_value(self, student):
        x = leaf(4, 3)
        (found,) = torch.autograd.grad(student.attention(x, x, x)[0].sin().sum(), x)
        assert_close(found, torch.autograd.grad(LOCAL["attention"](x, x, x)[0].sin().sum(), x)[0])

    def test_flow_on_through_what_came_before(self, student):
        x = leaf(3)
        student.product(student.product(x, x), x.exp()).sum().backward()
        assert_close(x.grad, (2 * x + x**2).detach() * x.exp().detach())

    def test_several_outputs_of_which_some_have_none(self, student):
        x = leaf(4)
        answer = student.several(x)
        detached, (square,) = answer["more"]
        assert answer["double"].requires_grad and square.requires_grad
        assert not answer["index"].requires_grad and not detached.requires_grad
        assert answer["count"] == 4
        (answer["double"].sum() + square.sum()).backward()
        assert_close(x.grad, 2 + 2 * x.detach())

    def test_may_be_asked_for_again(self, student):
        x = leaf(3)
        y = student.product(x, x)
        for _ in range(3):
            assert_close(torch.autograd.grad(y.sum(), x, retain_graph=True)[0], 2 * x.detach())

    def test_of_what_was_not_used(self, student):
        x, y = leaf(3), leaf(3)
        found = torch.autograd.grad(student.ignores(x, y).sum(), [x, y], allow_unused=True)
        assert found[0].tolist() == [2, 2, 2] and found[1] is None
        assert not student.constant(x).requires_grad
        assert student.nothing(x) is None

    def test_of_an_answer_that_is_the_argument(self, student):
        x = leaf(3)
        student.same(x).sum().backward()
        assert x.grad.tolist() == [1, 1, 1]

    def test_of_an_answer_that_is_given_twice(self, student):
        x = leaf(2)
        one, other = student.twice(x)
        assert one is other
        (one + other).sum().backward()
        assert x.grad.tolist() == [6, 6]

    def test_of_views_and_expanded_tensors(self, student):
        base = leaf(6, 2)
        q, k = base.chunk(2)
        (found,) = torch.autograd.grad(student.product(q.t(), k.t()).sum(), base)
        assert_close(found, torch.cat([k, q]).detach())
        x = leaf(1)
        student.product(x.expand(4), torch.arange(4.0)).sum().backward()
        assert x.grad.item() == 6

    def test_are_not_kept_where_none_are_wanted(self, student):
        x = leaf(3)
        with torch.no_grad():
            assert not student.product(x, x).requires_grad
        assert not student.product(x.detach(), x.detach()).requires_grad

    def test_there_is_no_second_order(self, student):
        x = leaf(3)
        (first,) = torch.autograd.grad(student.product(x, x).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="does not require grad"):
            first.sum().backward()

    def test_graphs_in_the_worker_end_with_those_here(self, conversation, desk):
        student = desk(FUNCTIONS).student(conversation)
        gc.disable()
        try:
            x = leaf(3)
            for _ in range(3):
                student.product(x, x).sum().backward()
            assert conversation.freed == [3]
        finally:
            gc.enable()

    def test_an_exception_on_the_way_back_arrives(self, desk):
        student = desk("""
            import torch
            class Broken(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x): return x.clone()
                @staticmethod
                def backward(ctx, g): raise ZeroDivisionError("on the way back")
            def f(x): return Broken.apply(x)
        """).student()
        with pytest.raises(ZeroDivisionError, match="on the way back"):
            student.f(leaf(2)).sum().backward()


class TestModules:
    def test_is_called_and_looked_at(self, student):
        net = student.Net(3, hidden=5)
        assert isinstance(net, RemoteModule)
        assert net(torch.randn(2, 3)).shape == (2, 1)
        assert net(torch.randn(2, 3), power=2).min() >= 0
        assert net.hidden(torch.randn(2, 3)).shape == (2, 5)
        assert (net.size, net.training, net.first.weight.shape) == (3, True, (5, 3))
        assert isinstance(net.first, RemoteModule) and net.first is net.first
        with pytest.raises(AttributeError):
            net.absent()

    def test_train_and_eval(self, student):
        net, x = student.Net(3, 64), torch.randn(8, 3)
        assert net.eval() is net and net.training is False
        assert torch.equal(net(x), net(x))
        assert net.train() is net and net.training is True
        assert not torch.equal(net(x), net(x))
        assert net.train(False).training is False

    @pytest.mark.parametrize("load", ["load_state_dict", "load_weights"])
    def test_state_and_load(self, student, load):
        net = student.Net(3).eval()
        state = net.state_dict()
        assert list(state) == ["scale", "first.weight", "first.bias", "last.weight", "last.bias"]
        state = {name: torch.randn_like(tensor) for name, tensor in state.items()}
        getattr(net, load)(state)
        local = LOCAL["Net"](3).eval()
        local.load_state_dict(state)
        x = torch.randn(4, 3)
        assert_close(net(x), local(x))
        assert_close(net.state_dict(), state)
        with pytest.raises(RuntimeError, match="Missing key"):
            net.load_state_dict({})

    def test_weights_by_the_names_of_the_assignment(self, student):
        net, weights = student.Named(), {"weight": torch.randn(3, 2)}
        x = torch.randn(4, 2)
        assert list(dict(net.named_parameters())) == ["matrix"]
        net.load_weights(weights)
        assert_close(net(x), x @ weights["weight"].t())
        assert_close(next(net.parameters()).detach(), weights["weight"].t())

    def test_gradients_of_parameters(self, student):
        net, local, x = student.Net(3).eval().double(), LOCAL["Net"](3).eval().double(), leaf(5, 3)
        local.load_state_dict(net.state_dict())
        found = dict(net.named_parameters())
        (mine,) = torch.autograd.grad(net(x).sin().sum(), x, retain_graph=True)
        net(x).sin().sum().backward()
        local(x).sin().sum().backward()
        assert_close({name: parameter.grad for name, parameter in found.items()},
                     {name: parameter.grad for name, parameter in local.named_parameters()})  # fmt: skip
        assert_close(2 * mine, x.grad)

    def test_gradcheck_of_parameters(self, student):
        net = student.Tied().double()
        (weight,) = net.parameters()
        x = leaf(2, 3)
        assert torch.autograd.gradcheck(lambda x, _: net(x), [x, weight], fast_mode=True)

    def test_training_here_reaches_the_module_there(self, student):
        net, local, x, y = student.Net(3).eval(), LOCAL["Net"](3).eval(), torch.randn(16, 3), torch.randn(16, 1)
        local.load_state_dict(net.state_dict())
        for model in (net, local):
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
            for _ in range(10):
                optimizer.zero_grad()
                loss = (model(x) - y).pow(2).mean()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        assert_close(net.state_dict(), dict(local.state_dict()), rtol=1e-4, atol=1e-5)

    def test_training_there_reaches_the_mirrors_here(self, student):
        net, x, y = student.Net(3).eval(), torch.randn(16, 3), torch.randn(16, 1)
        before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
        held = dict(net.named_parameters())
        assert student.fit(net, x, y) is None
        after = dict(net.named_parameters())
        assert all(after[name] is held[name] for name in held)
        assert not torch.equal(before["last.weight"], after["last.weight"])
        assert_close(net.state_dict()["last.weight"], after["last.weight"].detach())

    def test_parameters_stay_the_same_objects(self, student):
        net = student.Net(3).eval()
        held = list(net.parameters())
        optimizer = torch.optim.SGD(held, lr=0.5)
        net.load_state_dict({name: torch.randn_like(tensor) for name, tensor in net.state_dict().items()})
        net.double()
        assert all(one is other for one, other in zip(held, net.parameters(), strict=True))
        assert held[0].dtype == torch.float64
        before = net.state_dict()["first.weight"]
        net(torch.randn(2, 3, dtype=torch.float64)).sum().backward()
        optimizer.step()
        assert_close(net.state_dict()["first.weight"], before - 0.5 * held[0].grad)

    @pytest.mark.parametrize("change", ["add_", "normal_", "copy_", "data"])
    def test_a_change_of_a_mirror_is_sent(self, student, change):
        net = student.Named()
        (matrix,) = net.parameters()
        with torch.no_grad():
            {
                "add_": lambda: matrix.add_(1),
                "normal_": lambda: torch.nn.init.normal_(matrix),
                "copy_": lambda: matrix.copy_(torch.ones(2, 3)),
                "data": lambda: matrix.data.fill_(3),
            }[change]()
        assert_close(net(torch.eye(2)), matrix)
        assert_close(net.state_dict()["matrix"], matrix.detach())

    @pytest.mark.parametrize("kind", ["Tied", "Shared"])
    def test_tied_weights_are_one_parameter(self, student, kind):
        net, local, x = getattr(student, kind)(), LOCAL["Tied"](), torch.randn(4, 3)
        named = dict(net.named_parameters())
        assert len(named) == 2 and len(set(map(id, named.values()))) == 1
        assert len(list(net.parameters())) == 1
        (weight,) = net.parameters()
        with torch.no_grad():
            weight.copy_(torch.randn(3, 3))
            local.a.weight.copy_(weight if kind == "Tied" else weight.t())
        net(x).cos().sum().backward()
        local(x).cos().sum().backward()
        assert_close(weight.grad if kind == "Tied" else weight.grad.t(), local.a.weight.grad)

    def test_two_parts_of_one_storage_are_two_parameters(self, student):
        net = student.Cut()
        q, k = net.parameters()
        assert q is not k
        net(torch.ones(1, 3)).sum().backward()
        assert_close(2 * q.grad, k.grad)

    def test_a_part_of_a_module_has_mirrors_of_its_own(self, student):
        net, x = student.Net(3).eval(), torch.randn(2, 3)
        part = dict(net.first.named_parameters())
        whole = dict(net.named_parameters())
        net(x).sum().backward()
        assert_close(part["weight"].grad, whole["first.weight"].grad)

    def test_to_other_dtypes(self, student):
        net = student.Net(3)
        assert net.double() is net
        assert net(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
        assert net.to(torch.bfloat16).state_dict()["scale"].dtype == torch.bfloat16
        assert net.float().to("cpu").first.weight.dtype == torch.float32

    def test_without_gradients(self, student):
        net = student.Net(3)
        with torch.no_grad():
            assert not net(torch.randn(2, 3)).requires_grad
        assert net(torch.randn(2, 3)).requires_grad

    def test_an_object_that_is_no_module(self, student):
        thing = student.Plain(2)
        assert isinstance(thing, RemoteObject) and not isinstance(thing, RemoteModule)
        assert (thing.start, thing.add(3)) == (2, 5)
        assert student.echo(thing)[0][0] is thing


ERRORS = ["ValueError", "TypeError", "NotImplementedError", "KeyError", "IndexError", "ZeroDivisionError",
          "AssertionError", "AttributeError", "RuntimeError", "OSError", "RecursionError", "StopIteration"]  # fmt: skip


class TestExceptions:
    @pytest.mark.parametrize("name", ERRORS)
    def test_arrive_as_what_they_are(self, desk, name):
        source = f"class Own({name}): pass\ndef f(): raise {name}('seven')\ndef g(): raise Own('eight')"
        student = desk(source).student()
        kind = RuntimeError if name == "StopIteration" else getattr(builtins, name)
        for call, words in ((student.f, "seven"), (student.g, "eight")):
            with pytest.raises(kind, match=words) as caught:
                call()
            assert isinstance(caught.value, StudentRaised) and caught.value.status is Status.RAISED
            assert name in caught.value.raised.bases
            assert "<cell 1>" in caught.value.raised.where

    def test_leave_the_worker_as_it_was(self, desk):
        student = desk("""
            import sys
            def leave(): sys.exit(0)
            def skip(): import unittest; raise unittest.SkipTest("not today")
            def shy():
                class Shy(Exception):
                    def __str__(self): raise SystemExit
                raise Shy
            def fine(): return 1
        """).student()
        for name in ("leave", "skip", "shy"):
            with pytest.raises(StudentRaised):
                getattr(student, name)()
        assert student.fine() == 1

    def test_memory_that_was_refused(self, desk):
        student = desk("""
            import torch
            def hog(): return torch.ones(1 << 40)
            def hoard(): raise MemoryError
            def big(): return torch.zeros(1).expand(1 << 20, 1 << 16)
        """).student()
        for name in ("hog", "hoard", "big"):
            with pytest.raises(StudentRaised) as caught:
                getattr(student, name)()
            assert caught.value.status is Status.OUT_OF_MEMORY


class TestStrangeAnswers:
    SOURCE = """
        import numpy, torch
        class Liar(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None): return True
            def __eq__(self, other): return True
        class Angry(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None): raise KeyError
        class Always:
            def __eq__(self, other): return True
        class Pretends:
            __class__ = torch.Tensor
        def liar(): return torch.zeros(2).as_subclass(Liar)
        def angry(): return torch.zeros(2).as_subclass(Angry)
        def always(): return Always()
        def pretends(): return Pretends()
        def array(): return numpy.ones(2)
        def scalar(): return numpy.float32(1.5)
        def generator(): return (x for x in [torch.ones(1)])
        def sparse(): return torch.zeros(2).to_sparse()
        def meta(): return torch.zeros(2, device="meta")
        def parameter(): return torch.nn.Parameter(torch.ones(2))
        def loop(): x = []; x.append(x); return x
        def deep():
            x = None
            for _ in range(100): x = [x]
            return x
        def huge_number(): return 10 ** 100
        def huge_text(): return "x" * (1 << 22)
        def many(): return [torch.zeros(1) for _ in range(10_001)]
        def half_a_pair(): return "\\ud800"
        def dimensions(): return torch.zeros([1] * 60)
    """

    @pytest.fixture
    def student(self, desk):
        return desk(self.SOURCE).student()

    @pytest.mark.parametrize("name", ["liar", "angry", "parameter"])
    def test_a_subclass_of_tensor_is_a_tensor_here(self, student, name):
        assert type(getattr(student, name)()) is torch.Tensor

    @pytest.mark.parametrize("name", ["always", "array", "generator"])
    def test_what_can_not_travel_stays(self, student, name):
        answer = getattr(student, name)()
        assert type(answer) is RemoteObject and answer != torch.ones(2)
        with pytest.raises((TypeError, AssertionError)):
            assert_close(answer, torch.ones(2))

    def test_an_array_still_has_attributes(self, student):
        assert student.array().shape == (2,)
        assert type(student.scalar()) is float
        assert isinstance(student.array().sum, RemoteCallable)

    @pytest.mark.parametrize(
        "name", ["pretends", "sparse", "meta", "deep", "huge_number", "huge_text", "many", "loop", "dimensions"]
    )
    def test_what_can_not_be_read_is_the_students_error(self, student, name):
        with pytest.raises(StudentRaised) as caught:
            getattr(student, name)()
        assert caught.value.status is Status.RAISED
        assert student.scalar() == 1.5

    def test_text_can_be_written_to_a_file(self, student):
        assert student.half_a_pair().encode() == b"?"


def answering(value, tensors=(), facts=()):
    return Conversation(lambda operation: Message(value, tuple(tensors), tuple(facts)), torch.device("cpu"))


class TestForgedAnswers:
    """Well-formed frames with an unexpected content."""

    @pytest.mark.parametrize(
        "raised", [None, 3, [], ["A", 1, "m", "w"], ["A", [1], "m", "w"], [1, [], "m", "w"], {"a": 1}], ids=str
    )
    def test_an_exception_that_is_none(self, raised):
        with pytest.raises(WireError):
            answering({"raised": raised}).call("f", None, [], {})

    @pytest.mark.parametrize("changed", [None, 3, "all", [1.5], [[0]]])
    def test_changes_that_are_none(self, changed):
        with pytest.raises(WireError):
            answering({"value": 1, "changed": changed}).call("f", None, [], {})

    @pytest.mark.parametrize("value", [None, [1], {"weight": 3}])
    def test_parameters_that_are_none(self, value):
        with pytest.raises(WireError):
            list(RemoteModule(answering({"value": value}), Handle(1, "module", "M")).parameters())

    def test_an_integer_parameter_that_claims_a_gradient(self):
        weight = torch.ones(2, dtype=torch.int64)
        talk = answering({"value": {"weight": weight}}, [weight], [Facts("cpu", True, 0)])
        (found,) = RemoteModule(talk, Handle(1, "module", "M")).parameters()
        assert not found.requires_grad

    def test_parameters_of_one_group_but_two_shapes(self):
        weights = {"a": torch.ones(2), "b": torch.ones(3)}
        talk = answering({"value": weights}, weights.values(), [Facts("cpu", True, 0)] * 2)
        found = RemoteModule(talk, Handle(1, "module", "M")).parameters()
        assert [parameter.shape for parameter in found] == [(2,), (3,)]

    @pytest.mark.parametrize("value", [None, [], [torch.ones(3)], [torch.ones(2), None], [3]])
    def test_gradients_that_are_none(self, value):
        out = torch.ones(2)
        messages = [
            Message({"value": out, "changed": []}, (out,), (Facts("cpu", True, 0),)),
            Message({"value": value}, (), ()),
        ]
        talk = Conversation(lambda operation: messages.pop(0), torch.device("cpu"))
        with pytest.raises(WireError):
            talk.call("f", None, [leaf(2, dtype=torch.float32)], {}).sum().backward()

    def test_a_state_that_is_none(self):
        with pytest.raises(TypeError):
            RemoteModule(answering({"value": numpy.ones(1)}), Handle(1, "module", "M")).state_dict()
