"""What may cross the sandbox wall: JSON, tensors, and nothing that runs.

A frame is a fixed prefix (magic, header length, payload length), a JSON header and the raw bytes of the tensors. The
header holds one value, written as tagged lists so that every Python type that may cross keeps its identity, and a
table of tensors. Each tensor names a stretch of the payload, its dtype, shape, device, whether it requires a gradient,
and an alias group: tensors with the same group were the same memory, read the same way, on the sending side. Frames
*to* a worker may also give strides, so that a test can pass views; frames *from* a worker may not.

Everything a worker sends is hostile. `Frame.unpack` checks each length, dtype, shape and count before it allocates, and
answers anything else with `WireError`.
"""

import ctypes
import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from autograder.errors import WireError

MAGIC = b"agw1"
PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 1 << 20
MAX_DEPTH = 32
MAX_RANK = 32
MAX_EXTENT = 1 << 31
MAX_TENSORS = 10_000
MAX_EMPTY = 1 << 20
ALIGNMENT = 64
AHEAD = 1 << 16

DTYPES = {
    name: getattr(torch, name)
    for name in ("float32 float64 float16 bfloat16 bool uint8 int8 int16 int32 int64 complex64 complex128".split())
}
ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Handle:
    """An object that stays where it is. kind: function, class, module or object."""

    id: int
    kind: str
    type: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sender said of a tensor besides its bytes."""

    device: str
    requires_grad: bool
    alias: int


@dataclass(frozen=True, slots=True)
class Message:
    """A value that has arrived, its tensors in order of appearance, and what was said of each."""

    value: Any
    tensors: tuple[torch.Tensor, ...]
    facts: tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it came, of the lengths that its prefix gives. start, size: where in `memory` its payload lies.

    It begins at an address that `ALIGNMENT` divides: at other addresses, some kernels give other last digits.
    """

    header: Buffer
    memory: bytearray
    start: int
    size: int

    def unpack(self, *, trusting: bool = False) -> Message:
        """What it says. Tensors are plain, on the CPU, and share nothing with each other but the payload.

        trusting: the sender is the grader; strides and storages are then honoured.
        Raises WireError for anything that `pack` would not have written.
        """
        try:
            parsed = json.loads(bytes(self.header))
            tree, table, offsets = parsed
            reader = _Reader(self.memory, self.start, self.size, trusting)
            reader.build(table, offsets)
            return Message(reader.read(tree, 0), tuple(reader.tensors), tuple(reader.facts))
        except WireError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, RuntimeError) as error:
            raise WireError(f"a malformed frame: {type(error).__name__}") from error

    def payload(self) -> memoryview:
        """The payload's bytes."""
        return memoryview(self.memory)[self.start : self.start + self.size]


class Unsendable(Exception):
    """A value that has no form on the wire."""


def pack(value: Any, *, keep_storage: bool = False) -> list[Buffer]:
    """Write `value` as one frame: buffers to be sent one after the other.

    keep_storage: send stretches of storage with strides, so that views, aliases and expanded tensors arrive as such.
    Raises Unsendable for a value that has no form on the wire.
    """
    writer = _Writer(keep_storage)
    tree = writer.write(value, 0)
    writer.lay_out()
    header = ENCODER.encode([tree, writer.table, writer.offsets]).encode()
    if len(header) > MAX_HEADER:
        raise Unsendable(f"a value of {len(header)} bytes besides its tensors; at most {MAX_HEADER} can be sent")
    buffers = [PREFIX.pack(MAGIC, len(header), writer.size), header, *writer.blobs]
    if writer.size <= AHEAD:
        return [b"".join(buffers)]
    return buffers


class Inbox:
    """Exact stretches of a stream, with as few system calls as it takes. `receive` fills a view and says how far."""

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        self._receive = receive
        self._ahead = memoryview(bytearray(AHEAD))
        self._start = self._end = 0

    def exactly(self, size: int) -> bytearray:
        """The next `size` bytes. What arrives beyond them is kept for the next call."""
        data = bytearray(size)
        self._fill(memoryview(data))
        return data

    def frame(self, max_payload: int) -> Frame:
        """The next frame; WireError where its prefix exceeds a bound."""
        header_size, size = lengths(self.exactly(PREFIX.size), max_payload)
        header = self.exactly(header_size)
        if not size:
            return Frame(header, bytearray(), 0, 0)
        memory = bytearray(size + ALIGNMENT)
        start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % ALIGNMENT
        frame = Frame(header, memory, start, size)
        self._fill(frame.payload())
        return frame

    def _fill(self, view: memoryview) -> None:
        while view:
            if self._start < self._end:
                count = min(len(view), self._end - self._start)
                view[:count] = self._ahead[self._start : self._start + count]
                self._start += count
            elif len(view) >= AHEAD:
                count = self._receive(view)
            else:
                count, self._start, self._end = 0, 0, self._receive(self._ahead)
            view = view[count:]


def lengths(prefix: Buffer, max_payload: int) -> tuple[int, int]:
    """Header and payload length from the first `PREFIX.size` bytes of a frame; WireError where they exceed a bound."""
    magic, header, payload = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise WireError("a frame does not begin as one")
    if header > MAX_HEADER:
        raise WireError(f"a header of {header} bytes; at most {MAX_HEADER} are accepted")
    if payload > max_payload:
        raise WireError(f"a payload of {payload} bytes; at most {max_payload} are accepted")
    return header, payload


class _Writer:
    def __init__(self, keep_storage: bool) -> None:
        self.keep_storage = keep_storage
        self.table: list[list[Any]] = []
        self.offsets: list[list[int]] = []
        self.blobs: list[Buffer] = []
        self.size = 0
        self._seen: dict[int, int] = {}
        self._groups: dict[tuple[Any, ...], int] = {}
        self._stretches: dict[int, _Stretch] = {}
        self._sources: list[tuple[torch.Tensor, torch.Tensor, int]] = []

    def write(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return value if value.isascii() else _text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _integer(value)
        if kind is torch.Tensor:
            return ["T", self._tensor(value)]
        if depth >= MAX_DEPTH:
            raise Unsendable(f"a value nested more than {MAX_DEPTH} deep")
        if kind is dict:
            return ["d", *[[self.write(k, depth + 1), self.write(v, depth + 1)] for k, v in value.items()]]
        if kind is list:
            return ["l", *[self.write(item, depth + 1) for item in value]]
        if kind is tuple or kind is torch.Size:
            return ["t", *[self.write(item, depth + 1) for item in value]]
        if kind is float:
            return value if math.isfinite(value) else ["f", repr(value)]
        return self._rare(value, kind, depth)

    def _rare(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, torch.Tensor):
            return ["T", self._tensor(value)]
        if isinstance(value, dict):
            return self.write(dict(value.items()), depth)
        if kind is Handle:
            return ["o", value.id, value.kind, _text(value.type)]
        if kind is torch.dtype and value in DTYPE_NAMES:
            return ["y", DTYPE_NAMES[value]]
        if kind is torch.device:
            return ["v", str(value)]
        raise Unsendable(f"a value of type {kind.__name__}")

    def _tensor(self, tensor: torch.Tensor) -> int:
        known = self._seen.get(id(tensor))
        if known is not None:
            return known
        if len(self.table) >= MAX_TENSORS:
            raise Unsendable(f"more than {MAX_TENSORS} tensors")
        try:
            with torch._C.DisableTorchFunctionSubclass():
                plain = _readable(tensor)
                storage = plain.untyped_storage().data_ptr() if plain.numel() else 0
                shape, where = tuple(plain.shape), plain.device
                device = "cpu" if where.type == "cpu" else str(where)
                facts = [DTYPE_NAMES[plain.dtype], shape, device, bool(tensor.requires_grad)]
                place = (plain.data_ptr() if storage else len(self.table), plain.dtype, shape, plain.stride())
        except Unsendable:
            raise
        except Exception as error:
            raise Unsendable(f"a tensor that can't be read ({type(error).__name__})") from error
        index = len(self.table)
        group = self._groups.setdefault(place, len(self._groups)) if storage else -1
        self.table.append([0, None, 0, *facts, group])
        self._seen[id(tensor)] = index
        self._sources.append((tensor, plain, storage))
        if self.keep_storage and storage:
            self._stretches.setdefault(storage, _Stretch()).cover(plain)
        return index

    def lay_out(self) -> None:
        """Give every tensor of the table its place in the payload."""
        for row, (_, plain, storage) in zip(self.table, self._sources, strict=True):
            stretch = self._stretches.get(storage)
            if stretch is None or (stretch.users == 1 and plain.is_contiguous()):
                row[0] = self._blob(plain)
                continue
            if stretch.blob < 0:
                stretch.blob = self._blob(stretch.bytes_of(plain))
            row[:3] = stretch.blob, list(plain.stride()), plain.storage_offset() - stretch.start // plain.itemsize

    def _blob(self, plain: torch.Tensor) -> int:
        data = memoryview(octets(plain if plain.is_cpu else plain.cpu()).numpy())  # type: ignore[arg-type]
        padding = -self.size % ALIGNMENT
        if padding:
            self.blobs.append(bytes(padding))
            self.size += padding
        if data.nbytes:
            self.blobs.append(data)
        self.offsets.append([self.size, data.nbytes])
        self.size += data.nbytes
        return len(self.offsets) - 1


class _Stretch:
    """The part of one storage that the tensors of a frame look at, in bytes from its beginning."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self.users = 0
        self.blob = -1

    def cover(self, plain: torch.Tensor) -> None:
        first = plain.storage_offset()
        last = first + plain.numel() - 1
        if not plain.is_contiguous():
            last = first + sum((extent - 1) * step for extent, step in zip(plain.shape, plain.stride(), strict=True))
        start = first * plain.itemsize // ALIGNMENT * ALIGNMENT
        self.start = min(self.start, start) if self.users else start
        self.end = max(self.end, int(last + 1) * plain.itemsize)
        self.users += 1

    def bytes_of(self, plain: torch.Tensor) -> torch.Tensor:
        stretch = torch.empty(0, dtype=torch.uint8, device=plain.device)
        stretch.set_(plain.untyped_storage(), self.start, (self.end - self.start,))  # type: ignore[call-overload]
        return stretch


def _readable(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach()
    if plain.dtype not in DTYPE_NAMES:
        raise Unsendable(f"a tensor of dtype {plain.dtype}")
    if plain.layout is not torch.strided or plain.device.type == "meta":
        raise Unsendable(f"a tensor with layout {plain.layout} on {plain.device}")
    if plain.dim() > MAX_RANK or max(plain.shape, default=0) > MAX_EXTENT:
        raise Unsendable(f"a tensor of shape {list(plain.shape)}; at most {MAX_RANK} dimensions can be sent")
    if plain.is_conj() or plain.is_neg():
        return plain.resolve_conj().resolve_neg()
    return plain


class _Reader:
    def __init__(self, payload: bytearray, start: int, size: int, trusting: bool) -> None:
        self.payload = payload
        self.start = start
        self.size = size
        self.trusting = trusting
        self.tensors: list[torch.Tensor] = []
        self.facts: list[Facts] = []

    def build(self, table: Any, offsets: Any) -> None:
        if type(table) is not list or type(offsets) is not list or max(len(table), len(offsets)) > MAX_TENSORS:
            raise WireError("a table of tensors that is none")
        end = 0
        for row in table:
            blob, strides, start, dtype, shape, device, requires_grad, alias = row
            offset, size = offsets[_count(blob, len(offsets) - 1)]
            if _count(offset, self.size) + _count(size, self.size) > self.size:
                raise WireError("a tensor that lies outside its frame")
            if not self.trusting and size:
                if offset < end or offset % ALIGNMENT:
                    raise WireError("tensors from a worker that overlap, or begin at an odd address")
                end = offset + size
            if type(shape) is not list or len(shape) > MAX_RANK:
                raise WireError("a tensor of too many dimensions")
            for extent in shape:
                _count(extent, MAX_EXTENT)
            if type(device) is not str or len(device) > 32 or type(requires_grad) is not bool or type(alias) is not int:
                raise WireError("a tensor with facts of the wrong type")
            place = (self.start + offset, size)
            if strides is None:
                self.tensors.append(self._plain(place, dtype, shape))
            else:
                self.tensors.append(self._view(place, dtype, shape, (strides, start)))
            self.facts.append(Facts(device, requires_grad, alias))

    def _plain(self, place: tuple[int, int], name: Any, shape: list[int]) -> torch.Tensor:
        offset, size = place
        dtype = DTYPES[name]
        count = math.prod(shape)
        if count * dtype.itemsize != size:
            raise WireError("a tensor whose bytes do not fill its shape")
        if count == 0:
            if math.prod(extent or 1 for extent in shape) > MAX_EMPTY and not self.trusting:
                raise WireError("a tensor without elements whose sums would be vast")
            return torch.empty(shape, dtype=dtype)
        if dtype is torch.bool and not self.trusting:
            raw = torch.frombuffer(self.payload, dtype=torch.uint8, count=count, offset=offset)
            return (raw != 0).reshape(shape)
        return torch.frombuffer(self.payload, dtype=dtype, count=count, offset=offset).reshape(shape)

    def _view(self, place: tuple[int, int], name: Any, shape: list[int], layout: tuple[Any, Any]) -> torch.Tensor:
        if not self.trusting:
            raise WireError("a tensor with strides from a worker")
        offset, size = place
        dtype = DTYPES[name]
        base = torch.frombuffer(self.payload, dtype=dtype, count=size // dtype.itemsize, offset=offset)
        return base.as_strided(shape, layout[0], layout[1])

    def read(self, node: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WireError(f"a value nested more than {MAX_DEPTH} deep")
        kind = type(node)
        if kind is str:
            return _encodable(node)
        if node is None or kind is bool or kind is float:
            return node
        if kind is int:
            return _bounded(node)
        if kind is not list:
            raise WireError(f"a value of type {kind.__name__}")
        return self._tagged(node[0], node[1:], depth + 1)

    def _tagged(self, tag: Any, rest: list[Any], depth: int) -> Any:
        if tag == "T":
            (index,) = rest
            return self.tensors[_count(index, len(self.tensors) - 1)]
        if tag == "l":
            return [self.read(item, depth) for item in rest]
        if tag == "t":
            return tuple([self.read(item, depth) for item in rest])
        if tag == "d":
            return {self.read(key, depth): self.read(item, depth) for key, item in rest}
        if tag == "f":
            (name,) = rest
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[name]
        if tag == "o":
            index, kind, name = rest
            if kind not in ("function", "class", "module", "object") or type(name) is not str:
                raise WireError("an object of an unknown kind")
            return Handle(_count(index, MAX_EXTENT), kind, _encodable(name)[:200])
        if tag == "y":
            (name,) = rest
            return DTYPES[name]
        if tag == "v":
            (name,) = rest
            return torch.device(name[:32])
        raise WireError("a value with an unknown tag")


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _encodable(text: str) -> str:
    """The text, if it has no half of a surrogate pair, which no file could be written with."""
    if not text.isascii():
        text.encode()
    return text


def _integer(value: int) -> int:
    if not -(2**63) <= value < 2**64:
        raise Unsendable("an integer of more than 64 bits")
    return value


def _bounded(value: int) -> int:
    if not -(2**63) <= value < 2**64:
        raise WireError("an integer of more than 64 bits")
    return value


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise WireError("a count that is out of range")
    return value


def octets(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor's elements, in order."""
    flat = tensor.contiguous().reshape(-1)
    if flat.numel() < 2:
        flat = flat.as_strided(flat.shape, (1,))  # less than two elements may have any stride
    return flat.view(torch.uint8)


def total(buffers: Sequence[Buffer]) -> int:
    """Bytes in a frame."""
    return sum(memoryview(buffer).nbytes for buffer in buffers)
