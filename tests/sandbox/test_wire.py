"""Frames: whatever may cross arrives as it was, and whatever else comes is refused at a small price."""

import json
import math
import resource
import time

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from autograder.errors import WireError
from autograder.sandbox import wire
from autograder.sandbox.wire import Handle, Unsendable

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
COMPLEX = (torch.complex64, torch.complex128)
TEXT = st.text(max_size=8)


def frame(value, **options):
    """Header and payload, cut as a receiver would cut them."""
    data = bytearray().join(bytes(buffer) for buffer in wire.pack(value, **options))
    size = wire.PREFIX.size
    header, payload = wire.lengths(data[:size], 1 << 30)
    assert len(data) == size + header + payload
    return bytes(data[size : size + header]), data[size + header :]


def trip(value, **options):
    header, payload = frame(value, **options)
    return wire.Frame(header, payload, 0, len(payload)).unpack(trusting=options.get("keep_storage", False))


def bits(tensor):
    return bytes(wire.octets(tensor.detach().resolve_conj().resolve_neg()).numpy())


def same(one, other):
    if isinstance(one, torch.Tensor):
        return (
            type(other) is torch.Tensor
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and bits(one) == bits(other)
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one == other


@st.composite
def tensors(draw):
    """Any bits in any dtype and shape, laid out as a whole, a transpose, a slice, an expansion or a lazy conjugate."""
    dtype = draw(st.sampled_from(list(wire.DTYPES.values())))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    raw = torch.randint(0, 256, (*shape, dtype.itemsize), dtype=torch.uint8, generator=generator)
    tensor = (raw.squeeze(-1) > 127) if dtype is torch.bool else raw.view(dtype).squeeze(-1)
    layout = draw(st.sampled_from(["whole", "transposed", "sliced", "expanded", "conjugate", "negative"]))
    if layout == "transposed" and tensor.dim() > 1:
        return tensor.transpose(0, -1)
    if layout == "sliced" and tensor.dim():
        return tensor[..., draw(st.integers(0, 1)) :: 2]
    if layout == "expanded":
        return tensor.unsqueeze(0).expand(3, *shape)
    if layout == "conjugate" and dtype in COMPLEX:
        return tensor.conj()
    if layout == "negative" and dtype in COMPLEX:
        return tensor.conj().imag
    return tensor


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    TEXT,
    st.sampled_from(list(wire.DTYPES.values())),
    st.sampled_from([torch.device("cpu"), torch.device("cuda"), torch.device("cuda:1"), torch.device("meta")]),
    st.builds(Handle, st.integers(0, 1000), st.sampled_from(["function", "class", "module", "object"]), TEXT),
    tensors(),
)
KEYS = st.one_of(TEXT, st.integers(-9, 9), st.none(), st.tuples(TEXT, st.integers(0, 9)))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@QUICK
@given(TREES, st.booleans())
def test_any_tree_arrives_as_it_was(tree, keep_storage):
    assert same(tree, trip(tree, keep_storage=keep_storage).value)


@QUICK
@given(tensors())
def test_strides_arrive_where_storage_is_kept(tensor):
    assume(not tensor.is_conj() and not tensor.is_neg())
    arrived = trip(tensor, keep_storage=True).value
    assert same(tensor, arrived)
    if not tensor.is_contiguous():
        assert arrived.stride() == tensor.stride()


@pytest.mark.parametrize("dtype", wire.DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)], ids=str)
def test_every_dtype_and_shape(dtype, shape):
    tensor = torch.randint(0, 2, shape).to(dtype)
    message = trip([tensor, tensor.clone().requires_grad_(dtype.is_floating_point)])
    assert same([tensor, tensor], message.value)
    assert [fact.requires_grad for fact in message.facts] == [False, dtype.is_floating_point]
    assert message.facts[0].device == "cpu"


def test_special_values_keep_their_bits():
    tensor = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45])
    assert same(tensor, trip(tensor).value)
    numbers = [math.nan, math.inf, -math.inf, -0.0, 5e-324]
    assert same(numbers, trip(numbers).value)


def test_a_repeated_tensor_arrives_as_one():
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    for keep_storage in (False, True):
        one, other, named = trip([x, y, {"x": x, "y": y}], keep_storage=keep_storage).value
        assert one is named["x"] and other is named["y"] and one is not other


def test_an_alias_group_is_the_same_memory_read_the_same_way():
    base = torch.randn(6, 3)
    tied, again = torch.nn.Parameter(base), torch.nn.Parameter(base)
    upper, lower, other = base[:3], base[3:], base.clone()
    first, second, *rest = [fact.alias for fact in trip([tied, again, upper, lower, other]).facts]
    assert first == second
    assert len({first, *rest}) == 4
    assert trip(torch.empty(0)).facts[0].alias == -1


@pytest.mark.parametrize("cut", ["contiguous", "strided", "dtypes"])
def test_views_of_one_storage_share_memory_on_arrival(cut):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    views = {
        "contiguous": [base, base[1], base[2:], base[3, 4], base[0, 0]],
        "strided": [*base.chunk(3, dim=-1), base[:, 1:3], base.t()],
        "dtypes": [base[:, ::2], base.view(torch.int32), base.view(torch.int16)[1]],
    }[cut]
    arrived = trip(views, keep_storage=True).value
    assert same(views, arrived)
    for n, view in enumerate(arrived):
        view.fill_(n + 100)
        views[n].fill_(n + 100)
        assert same(views, arrived)


@QUICK
@given(st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 5), max_size=3))), st.data())
def test_any_views_of_one_storage_share_memory_on_arrival(layouts, data):
    base = torch.arange(100, dtype=torch.float32)
    views = []
    for shape, strides in layouts:
        rank = min(len(shape), len(strides))
        views.append(base.as_strided(shape[:rank], strides[:rank], data.draw(st.integers(0, 50))))
    arrived = trip(views, keep_storage=True).value
    assert same(views, arrived)
    for n, view in enumerate(arrived):
        view.fill_(n + 100)
        views[n].fill_(n + 100)
    assert same(views, arrived)


def test_a_view_costs_what_it_looks_at():
    big = torch.randn(1000, 1000)
    assert len(frame(big[7], keep_storage=True)[1]) <= 8192
    assert len(frame(big[5:7, :10], keep_storage=True)[1]) <= 8192
    assert len(frame(torch.zeros(1).expand(10**9), keep_storage=True)[1]) <= 64
    assert trip(torch.zeros(1).expand(10**9), keep_storage=True).value.stride() == (0,)


def test_tensors_from_a_worker_share_nothing():
    base = torch.zeros(4)
    one, two = trip([base[:3], base[1:]]).value
    one.fill_(1)
    assert two.tolist() == [0, 0, 0]


class Awkward(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise KeyError("nothing may be done with this")


class Lying(torch.Tensor):
    dtype = "float32"
    shape = property(lambda self: 1 / 0)


class Wrapper(torch.Tensor):
    @staticmethod
    def __new__(cls):
        return torch.Tensor._make_wrapper_subclass(cls, (2,))

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise LookupError("nothing may be done with this")


@pytest.mark.parametrize("kind", [Awkward, Lying])
def test_a_subclass_of_tensor_arrives_plain(kind):
    value = trip(torch.ones(2).as_subclass(kind)).value
    assert type(value) is torch.Tensor and value.tolist() == [1, 1]


class Pretends:
    __class__ = torch.Tensor


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, b"bytes", 1j, 2**64, -(2**63) - 1, len, torch.nn.Linear, slice(1), nested(100),
        torch.zeros(2).to_sparse(), torch.zeros(2, device="meta"), torch.zeros(2).to(torch.float8_e5m2),
        torch.qint8, Pretends(), Wrapper(),
        "x" * (1 << 21), list(range(1 << 20)), [torch.zeros(1)] + [torch.zeros(0) for _ in range(10_001)],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keep_storage", [False, True])
def test_what_can_not_cross_is_unsendable(value, keep_storage):
    with pytest.raises(Unsendable):
        wire.pack([value], keep_storage=keep_storage)


def test_text_that_no_file_can_hold_is_made_writable():
    assert trip("a\ud800b").value == "a?b"


def test_lengths_are_checked_before_anything_is_read():
    for prefix, words in [
        (wire.PREFIX.pack(b"nope", 1, 1), "begin"),
        (wire.PREFIX.pack(wire.MAGIC, 1 << 31, 1), "header"),
        (wire.PREFIX.pack(wire.MAGIC, 1, 1 << 63), "payload"),
    ]:
        with pytest.raises(WireError, match=words):
            wire.lengths(prefix, 1 << 20)
    assert wire.lengths(wire.PREFIX.pack(wire.MAGIC, 5, 6), 6) == (5, 6)


def assert_plain(value):
    kinds = (type(None), bool, int, float, str, list, tuple, dict, Handle, torch.Tensor, torch.dtype, torch.device)
    assert type(value) in kinds
    if type(value) is str:
        value.encode()
    if isinstance(value, (list, tuple)):
        for item in value:
            assert_plain(item)
    if isinstance(value, dict):
        for key, item in value.items():
            assert_plain(key)
            assert_plain(item)


def judged(header, payload=b""):
    """What a receiver makes of these bytes: a message whose tensors fit into the payload, or None if refused."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        message = wire.Frame(header, bytearray(payload), 0, len(payload)).unpack()
    except WireError:
        message = None
    assert time.process_time() - start < 5
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 128 * 2**20 + 4 * len(payload)
    if message is not None:
        assert_plain(message.value)
        assert sum(tensor.nbytes for tensor in message.tensors) <= len(payload)
        assert all(type(tensor) is torch.Tensor and tensor.device.type == "cpu" for tensor in message.tensors)
    return message


@QUICK
@given(st.binary(max_size=200), st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_or_plain(header, payload):
    judged(header, payload)


@QUICK
@given(TREES, st.data())
def test_damaged_frames_are_refused_or_plain(tree, data):
    header, payload = (bytearray(part) for part in frame(tree))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(header) - 1))
        header[place] ^= 1 << data.draw(st.integers(0, 7))
    judged(bytes(header), payload[: data.draw(st.integers(0, len(payload)))])
    judged(bytes(header[: data.draw(st.integers(0, len(header)))]), payload)


TAGS = st.sampled_from(["T", "l", "t", "d", "f", "o", "y", "v", "nan", "float32", "bool", "module", "cpu", "cuda:99"])
NUMBERS = st.one_of(st.integers(-2, 9), st.sampled_from([2**31, 2**32, 2**63, -(2**63), 2**200, 1.5, 1e308]))
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TAGS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=10,
)
ROWS = st.tuples(
    st.integers(-1, 3), st.one_of(st.none(), JUNK), JUNK, st.sampled_from([*wire.DTYPES, "meta"]),
    st.lists(st.sampled_from([0, 1, 2, 4, 8, 2**31, 2**31 + 1, -1]), max_size=5),
    st.one_of(st.sampled_from(["cpu", "cuda", "meta"]), JUNK), st.one_of(st.booleans(), JUNK), st.integers(-1, 9),
)  # fmt: skip
OFFSETS = st.tuples(st.integers(-1, 20), st.integers(-1, 20))


@QUICK
@given(JUNK, st.one_of(JUNK, st.lists(ROWS, max_size=3)), st.one_of(JUNK, st.lists(OFFSETS, max_size=4)))
def test_made_up_headers_are_refused_or_plain(tree, table, offsets):
    judged([tree, table, offsets], bytes(range(16)))


def row(blob=0, strides=None, start=0, dtype="float32", shape=(4,), device="cpu", needed=False, alias=0):
    return [blob, strides, start, dtype, list(shape), device, needed, alias]


HOSTILE = {
    "nothing": (b"", b""),
    "not a list": ({"a": 1}, b""),
    "deep brackets": (b"[" * 1_000_000, b""),
    "deep value": ([nested(40), [], []], b""),
    "many digits": (b"[" + b"9" * 1_000_000 + b",[],[]]", b""),
    "an integer too large": ([2**64, [], []], b""),
    "an unknown tag": ([["z", 1], [], []], b""),
    "a tag that is a list": ([[["l"]], [], []], b""),
    "an empty value": ([[], [], []], b""),
    "a tensor that is not there": ([["T", 0], [], []], b""),
    "a tensor from behind": ([["T", -1], [row()], [[0, 16]]], bytes(16)),
    "a tensor by truth": ([["T", False], [row()], [[0, 16]]], bytes(16)),
    "a blob from behind": ([["T", 0], [row(blob=-1)], [[0, 16]]], bytes(16)),
    "bytes beyond the payload": ([["T", 0], [row()], [[8, 16]]], bytes(16)),
    "a negative offset": ([["T", 0], [row()], [[-16, 16]]], bytes(16)),
    "a negative extent": ([["T", 0], [row(shape=(-2, -2))], [[0, 16]]], bytes(16)),
    "a huge extent": ([["T", 0], [row(shape=(2**40,))], [[0, 16]]], bytes(16)),
    "a product that wraps to zero": ([["T", 0], [row(shape=(2**31, 2**31, 4))], [[0, 0]]], bytes(16)),
    "a product that wraps to the size": ([["T", 0], [row(shape=(2**31, 2**31, 2, 2, 2**31))], [[0, 16]]], bytes(16)),
    "more bytes than the shape": ([["T", 0], [row(shape=(3,))], [[0, 16]]], bytes(16)),
    "a shape that is no list": ([["T", 0], [[0, None, 0, "float32", "4", "cpu", False, 0]], [[0, 16]]], bytes(16)),
    "a fractional extent": ([["T", 0], [row(shape=(4.0,))], [[0, 16]]], bytes(16)),
    "too many dimensions": ([["T", 0], [row(shape=(1,) * 1000)], [[0, 4]]], bytes(4)),
    "strides": ([["T", 0], [row(strides=[0], shape=(2**30,))], [[0, 16]]], bytes(16)),
    "an unknown dtype": ([["T", 0], [row(dtype="qint8")], [[0, 16]]], bytes(16)),
    "a dtype that is a list": ([["T", 0], [row(dtype=["float32"])], [[0, 16]]], bytes(16)),
    "a device that is a number": ([["T", 0], [row(device=1)], [[0, 16]]], bytes(16)),
    "a device without end": ([["T", 0], [row(device="cuda" * 100)], [[0, 16]]], bytes(16)),
    "a gradient that is a number": ([["T", 0], [row(needed=1)], [[0, 16]]], bytes(16)),
    "overlapping tensors": ([None, [row(), row(blob=1)], [[0, 16], [8, 16]]], bytes(32)),
    "one stretch many times": ([None, [row(dtype="bool", shape=(1 << 20,))] * 9000, [[0, 1 << 20]]], bytes(1 << 20)),
    "too many tensors": ([None, [row(shape=(0,))] * 10_001, [[0, 0]]], b""),
    "a key that can't be one": ([["d", [["l"], 1]], [], []], b""),
    "a pair of three": ([["d", [1, 2, 3]], [], []], b""),
    "a float of another name": ([["f", "infinity"], [], []], b""),
    "a handle from behind": ([["o", -1, "module", ""], [], []], b""),
    "a handle of no kind": ([["o", 1, "score", ""], [], []], b""),
    "a dtype value that is none": ([["y", "__class__"], [], []], b""),
    "a device value that is none": ([["v", "score"], [], []], b""),
    "half a surrogate pair": (b'["\\ud800",[],[]]', b""),
    "half a surrogate pair in a handle": (b'[["o",1,"module","\\ud800"],[],[]]', b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frames_are_refused(name):
    header, payload = HOSTILE[name]
    assert judged(header, payload) is None


@pytest.mark.parametrize("device", ["meta", "cuda:7", "xpu", "nowhere"])
def test_a_device_is_only_hearsay(device):
    message = judged([["T", 0], [row(device=device)], [[0, 16]]], bytes(16))
    assert message.value.device.type == "cpu" and message.facts[0].device == device


def test_an_empty_tensor_of_a_huge_shape_takes_no_memory():
    judged([["T", 0], [row(shape=(2**31, 0, 2**31))], [[0, 0]]], b"")
    judged([["T", 0], [row(shape=(2**31,) * 31 + (0,))], [[0, 0]]], b"")


def test_the_last_of_two_equal_keys_counts():
    assert judged([["d", ["a", 1], ["a", 2]], [], []]).value == {"a": 2}


def test_bytes_of_booleans_are_made_clean():
    value = judged([["T", 0], [row(dtype="bool")], [[0, 4]]], bytes([0, 1, 2, 255])).value
    assert bits(value) == bytes([0, 1, 1, 1])


def test_a_full_header_of_small_things_is_read_in_time():
    judged([["l", *[0] * 500_000], [], []])
    judged([["d", *[[n, n] for n in range(70_000)]], [], []])
