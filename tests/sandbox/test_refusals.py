"""Forbidden calls in real workers: the list of the course's first assignment, and every disguise that we know."""

import textwrap
import tomllib
from pathlib import Path

import pytest
import torch

from autograder.sandbox import isolation
from autograder.sandbox.spawn import Refused, Zygote
from tests.sandbox.conftest import desks

ASSIGNMENT = sorted((Path(__file__).parents[2] / "solutions").glob("a1_*/assignment.toml"))
MORE_CALLS = (
    "torch._higher_order_ops.flex_attention.math_attention",
    "torch.onnx.ops.attention",
    "torch.onnx.ops._impl.attention_23",
)
MORE_OPERATORS = ("onnx::Attention",)
WORDS = ("attention", "multi_head", "transformer_encoder_layer")

HEAD = """
import base64, builtins, contextlib, functools, gc, importlib, pickle, runpy, sys, types
import torch
import torch.nn.attention.flex_attention
from torch import nn
import torch.nn.functional as F
from torch.nn.functional import multi_head_attention_forward as early
q = torch.randn(1, 2, 5, 8)
x = torch.randn(5, 1, 8)
inputs = (x, x, x, 8, 2, torch.randn(24, 8), torch.randn(24), None, None, False, 0.0, torch.randn(8, 8), torch.randn(8))
sdpa = torch._C._nn.scaled_dot_product_attention
cpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)

def module(name):
    return importlib.import_module(name)

def prepare(self):
    nn.Module.__init__(self)
    self.embed_dim, self.num_heads, self.head_dim, self.batch_first, self._qkv_same_embed_dim = 8, 2, 4, False, True
    self.in_proj_weight, self.in_proj_bias = nn.Parameter(torch.randn(24, 8)), nn.Parameter(torch.randn(24))
    self.bias_k = self.bias_v = None
    self.add_zero_attn, self.dropout, self.out_proj = False, 0.0, nn.Linear(8, 8)

class Wraps(nn.MultiheadAttention):
    pass

class Skips(nn.MultiheadAttention):
    def __init__(self):
        prepare(self)

class New(nn.MultiheadAttention):
    def __new__(cls):
        return object.__new__(cls)
    def __init__(self):
        prepare(self)

def nothing(*a, **k): pass
def source(): return open(F.__file__).read()
def codes(): return [c for c in compile(source(), "x", "exec").co_consts if getattr(c, "co_name", "") == early.__name__]
def destroy(things):
    for thing in things:
        if type(thing).__name__ in ("Library", "_DispatchModule"):
            getattr(thing, "_destroy", getattr(thing, "reset", nothing))()
"""

USES = {
    "itself": "return F.scaled_dot_product_attention(q, q, q)",
    "binding": "return sdpa(q, q, q)",
    "alias": "return early(*inputs)",
    "getattr": "return getattr(F, 'scaled_dot' + '_product_attention')(q, q, q)",
    "eval of base64": "return eval(base64.b64decode('c2RwYShxLCBxLCBxKQ=='))",
    "exec of base64": "exec(base64.b64decode('ZWFybHkoKmlucHV0cyk='))",
    "operator": "return torch.ops.aten.scaled_dot_product_attention(q, q, q)",
    "overload": "return torch.ops.aten.scaled_dot_product_attention.default(q, q, q)",
    "math": "return torch._scaled_dot_product_attention_math(q, q, q)",
    "VF": "return torch._VF._scaled_dot_product_attention_math(q, q, q)",
    "variable functions": "return torch._C._VariableFunctions._scaled_dot_product_attention_math(q, q, q)",
    "flash": "return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, q, q)",
    "native heads": "return torch._native_multi_head_attention(x, x, x, 8, 2, *inputs[5:7], *inputs[11:])",
    "native heads, out": "y = torch.empty_like(x)\nreturn torch.ops.aten._native_multi_head_attention.out("
    "x, x, x, 8, 2, *inputs[5:7], *inputs[11:], out0=y, out1=y)",
    "triton": "return torch._triton_scaled_dot_attention(q, q, q)",
    "get operation": "name = 'aten::scaled_dot_product_attention'\n"
    "return torch._C._jit_get_operation(name)[0](q, q, q, None, 0.0, False)",
    "get overload": "return torch._C._get_operation_overload('aten::scaled_dot_product_attention', '')[0](q, q, q)",
    "redispatch": "return torch.ops.aten.scaled_dot_product_attention.default.redispatch(cpu, q, q, q)",
    "another key": "k = torch._C.DispatchKeySet(torch._C.DispatchKey.FuncTorchBatchedDecomposition)\n"
    "return torch.ops.aten.scaled_dot_product_attention.default.redispatch(k, q, q, q)",
    "decompose": "return torch.ops.aten.scaled_dot_product_attention.default.decompose(q, q, q)",
    "decomposition": "o = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default\n"
    "return torch._decomp.decomposition_table[o](q, q, q)",
    "composite": "k = torch._C.DispatchKey.CompositeImplicitAutograd\n"
    "return torch.ops.aten.scaled_dot_product_attention.default._op_dk(k, q, q, q)",
    "vmap": "return torch.func.vmap(lambda t: sdpa(t, t, t))(q)",
    "grad": "return torch.func.grad(lambda t: sdpa(t, t, t).sum())(q)",
    "jvp": "return torch.func.jvp(lambda t: sdpa(t, t, t), (q,), (q,))",
    "autocast": "with torch.autocast('cpu'):\n    return sdpa(q, q, q)",
    "inference": "with torch.inference_mode():\n    return sdpa(q, q, q)",
    "nested": "t = torch.nested.nested_tensor([torch.randn(2, 5, 8)])\nreturn sdpa(t, t, t)",
    "meta": "return sdpa(*[q.to('meta')] * 3)",
    "trace": "return torch.jit.trace(lambda t: sdpa(t, t, t), (q,))(q)",
    "compile": "return torch.compile(lambda t: sdpa(t, t, t), backend='eager')(q)",
    "export": "return module('torch.fx.experimental.proxy_tensor').make_fx(lambda t: sdpa(t, t, t))(q)(q)",
    "heads": "return nn.MultiheadAttention(8, 2)(x, x, x)",
    "heads elsewhere": "return torch.nn.modules.activation.MultiheadAttention(8, 2)(x, x, x)",
    "heads wrapped": "return Wraps(8, 2)(x, x, x)",
    "heads without init": "return Skips()(x, x, x)",
    "heads without new": "return New()(x, x, x)",
    "heads unbound": "m = nn.Module()\nprepare(m)\nreturn nn.MultiheadAttention.forward(m, x, x, x)",
    "heads, renewed": "del nn.MultiheadAttention.__new__, nn.MultiheadAttention.__init__\nm = nn.MultiheadAttention()\n"
    "prepare(m)\nreturn m(x, x, x)",
    "heads, quantizable": "return module('torch.ao.nn.quantizable').MultiheadAttention(8, 2)(x, x, x)",
    "encoder layer": "return nn.TransformerEncoderLayer(8, 2, 8)(x)",
    "encoder layer elsewhere": "return torch.nn.modules.transformer.TransformerEncoderLayer(8, 2, 8)(x)",
    "transformer": "return nn.Transformer(8, 2, 1, 1)(x, x)",
    "copy of a module": "return runpy.run_module('torch.nn.functional')[early.__name__](*inputs)",
    "reload": "importlib.reload(F)\nreturn F.multi_head_attention_forward(*inputs)",
    "reload of a class": "m = importlib.reload(sys.modules['torch.nn.modules.activation'])\n"
    "return m.MultiheadAttention(8, 2)(x, x, x)",
    "import anew": "del sys.modules['torch.nn.functional']\nimport torch.nn.functional as G\n"
    "return G.multi_head_attention_forward(*inputs)",
    "file run": "names = {'__package__': 'torch.nn', '__name__': 'mine'}\nexec(source(), names)\n"
    "return names[early.__name__](*inputs)",
    "renamed": "names = {'__package__': 'torch.nn', '__name__': 'mine'}\n"
    "exec(source().replace('def multi_head_attention_forward', 'def mine'), names)\nreturn names['mine'](*inputs)",
    "code made a function": "return types.FunctionType(codes()[0], vars(F))(*inputs)",
    "code given": "early.__code__ = codes()[0]\nreturn early(*inputs)",
    "code given to another": "nothing.__code__ = codes()[0]\nreturn nothing(*inputs)",
    "pickle": "return pickle.loads(b'ctorch.nn.functional\\nmulti_head_attention_forward\\n.')(*inputs)",
    "flex": "return torch.nn.attention.flex_attention.flex_attention(q, q, q)",
    "flex inside": "m, f = module('torch._higher_order_ops.flex_attention'), torch.nn.attention.flex_attention\n"
    "b = f._create_empty_block_mask(q, q).as_tuple()\nreturn m.math_attention(q, q, q, lambda s, *a: s, b, 0.35, {})",
    "flex operator": "b = torch.nn.attention.flex_attention._create_empty_block_mask(q, q).as_tuple()\n"
    "return torch.ops.higher_order.flex_attention(q, q, q, lambda s, *a: s, b, 0.35, {}, (), ())",
    "onnx by hand": "return module('torch.onnx.ops').attention(q, q, q, softcap=1e6)",
    "onnx operator": "return torch.ops.onnx.Attention.opset23(q, q, q, None, None, None, softcap=1e6)",
    "onnx": "return module('torch.onnx.ops').attention(q, q, q)",
    "put back": "F.scaled_dot_product_attention = sdpa\nreturn F.scaled_dot_product_attention(q, q, q)",
    "kernel": "o = 'aten::_scaled_dot_product_flash_attention_for_cpu'\n"
    "return torch.library.get_kernel(o, 'CPU').call_boxed(cpu, q, q, q)",
    "libraries of frames": "f = sys._getframe()\nwhile f:\n    destroy(f.f_locals.values())\n    f = f.f_back\n"
    "return sdpa(q, q, q)",
    "libraries of gc": "gc.unfreeze()\ndestroy(gc.get_objects())\nreturn sdpa(q, q, q)",
    "guards of gc": "gc.unfreeze()\nfor f in gc.get_objects():\n"
    "    if type(f) is types.FunctionType and f.__name__ in ('hear', 'refuse', '_guard'):\n"
    "        with contextlib.suppress(RuntimeError):\n            f.__code__ = nothing.__code__\n"
    "        with contextlib.suppress(RuntimeError):\n            f.__defaults__ = ((), (), 0, '', int)\n"
    "return runpy.run_module('torch.nn.functional')[early.__name__](*inputs)",
}
STOPPED = {
    "script": "def inner(t):\n    return torch.nn.functional.scaled_dot_product_attention(t, t, t)\n"
    "return torch.jit.script(inner)(q)",
    "script text": "text = 'def f(t):\\n  return torch._scaled_dot_product_attention_math(t, t, t)[0]\\n'\n"
    "return torch.jit.CompilationUnit(text).f(q)",
}


@pytest.fixture(scope="module")
def strict():
    if not ASSIGNMENT:
        pytest.skip("the course has no assignment a1")
    forbidden = tomllib.loads(ASSIGNMENT[0].read_text("utf-8"))["forbidden"]
    calls, operators = (*forbidden["calls"], *MORE_CALLS), (*forbidden["operators"], *MORE_OPERATORS)
    zygote = Zygote(isolation.choose("best"), Refused(calls, operators))
    zygote.await_ready()
    yield zygote
    zygote.close()


@pytest.fixture
def use(strict):
    """The worker's own answer, not yet believed by anyone."""
    sittings = desks(strict)
    sit_down = next(sittings)

    def use(body):
        desk = sit_down(HEAD, "def use():\n" + textwrap.indent(body, "    "))
        assert desk.errors == []
        return desk.call("use")

    yield use
    next(sittings, None)


@pytest.mark.parametrize("name", USES)
def test_a_disguise_is_seen_through(use, name):
    answer = use(USES[name])
    assert "raised" in answer, answer
    kind, _, message, where = answer["raised"]
    assert kind == "RuntimeError" and "autograder: not allowed in this assignment: " in message, (kind, message)
    assert "<cell 2>" in where


@pytest.mark.parametrize("name", STOPPED)
def test_torchscript_gets_nowhere_either(use, name):
    assert "raised" in use(STOPPED[name])


@pytest.mark.parametrize(
    "body",
    [
        "# F.scaled_dot_product_attention(q, q, q)\ntext = 'nn.MultiheadAttention'\nreturn (q @ q.mT).softmax(-1) @ q",
        "return isinstance(nn.Linear(2, 2), (nn.MultiheadAttention, nn.Transformer)) or q",
        "keep = F.scaled_dot_product_attention, nn.MultiheadAttention.__doc__\nreturn q",
        "importlib.reload(sys.modules['torch.nn.modules.linear'])\nreturn q",
        "exec('def f(a):\\n    return a + 1')\nreturn q",
        "nothing.__code__ = (lambda *a: 1).__code__\nreturn torch.tensor(nothing())",
        "return torch.compile(lambda t: t.softmax(-1), backend='eager')(q)",
        "return torch.jit.trace(lambda t: t.softmax(-1), (q,))(q)",
        "layer = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU())\nlayer(q).sum().backward()\nreturn q",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    b: int = 1\nreturn q + A().b",
    ],
)
def test_what_is_allowed_stays_allowed(use, body):
    assert isinstance(use(body)["value"], torch.Tensor)


def test_the_list_of_operators_leaves_out_no_overload_and_no_backend():
    forbidden = tomllib.loads(ASSIGNMENT[0].read_text("utf-8"))["forbidden"]["operators"] if ASSIGNMENT else []
    for operator in torch._C._dispatch_get_all_op_names() if forbidden else ():
        name = operator.partition(".")[0]
        told = any(word in name for word in WORDS) and name.startswith("aten::")
        if told and not name.endswith("_backward"):
            assert name in forbidden, operator
