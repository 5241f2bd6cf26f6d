"""Uses what submissions use, once, so that every fork of this process finds it loaded.

The first call of an operator loads its kernels and fills caches; the first optimizer step imports a compiler. Done
here, before the fork, these cost nothing per submission. One thread only: an OpenMP pool does not survive a fork.
"""

import asyncio
import ctypes
import gc
import os
import random
import sys
import threading
import warnings

import torch
from torch import nn
from torch.nn import functional as F

HUGE = 1 << 21
MADV_COLLAPSE = 25


def warm_up(*, backward: bool) -> None:
    """Touch operators, modules, autograd and optimizers with tiny tensors; leaves random state and threads as found.

    backward: also run the autograd engine. Not where a GPU is: its threads would not survive the fork.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float32, torch.float64):
            _operators(dtype, backward)
            _modules(dtype, backward)
        for dtype in (torch.float16, torch.bfloat16):
            _half(dtype)
        _languages()


def settle() -> None:
    """Freeze the heap, so that a fork shares it, and make sure that no thread is left to be lost in one."""
    gc.collect()
    gc.freeze()
    _join_pages()
    tasks = "/proc/self/task"
    alive = len(os.listdir(tasks)) if os.path.isdir(tasks) else threading.active_count()
    if alive != 1:
        raise RuntimeError(f"{alive} threads run before the first fork; a fork would lose all but one")


def _join_pages() -> None:
    """Have the kernel join what lies in memory here into huge pages: a fork then copies far fewer entries.

    Once per process, a quarter of a second; each fork and each end of a worker costs a third of what it did. Nothing
    is changed where the kernel can't (Linux before 6.1).
    """
    if not sys.platform.startswith("linux"):
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    for span, rights, *_, path in [line if len(line) > 5 else [*line, ""] for line in lines]:
        if rights == "rw-p" and path in ("", "[heap]"):
            begin, end = (int(place, 16) for place in span.split("-"))
            for place in range(-(-begin // HUGE) * HUGE, end - HUGE + 1, HUGE):
                madvise(place, HUGE, MADV_COLLAPSE)


def _operators(dtype: torch.dtype, backward: bool) -> None:
    x = torch.randn(2, 3, 4, 4, dtype=dtype, requires_grad=backward)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    scores = torch.matmul(x, x.transpose(-2, -1)) / 2.0
    scores = scores.masked_fill(~mask, float("-inf")) + torch.zeros_like(scores)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    terms = [
        weights @ x,
        torch.einsum("bhqk,bhkd->bhqd", weights, x),
        torch.einsum("bhqd,bhkd->bhqk", x, x),
        torch.where(mask, x, torch.zeros((), dtype=dtype)),
        (x.exp() - x.amax(-1, keepdim=True)).tanh(),
        x.log_softmax(-1),
        x.logsumexp(-1, keepdim=True) * x,
        torch.cat([x, x], -1).chunk(2, -1)[0],
        torch.stack([x, x]).sum(0),
        x.permute(0, 2, 1, 3).reshape(2, 4, 12).view(2, 4, 3, 4).transpose(1, 2),
        x.unsqueeze(1).expand(2, 2, 3, 4, 4).mean(1),
        x.flatten(0, 1).unflatten(0, (2, 3)),  # type: ignore[no-untyped-call]
        torch.bmm(x.reshape(6, 4, 4), x.reshape(6, 4, 4)).view_as(x),
        torch.baddbmm(x.reshape(6, 4, 4), x.reshape(6, 4, 4), x.reshape(6, 4, 4)).view_as(x),
        x.mean(-1, keepdim=True) + x.var(-1, keepdim=True, unbiased=False).add(1e-5).rsqrt() * x,
        x.pow(2).sqrt().clamp(min=0.1) * x.sigmoid() * F.gelu(x) * F.relu(x),
        x.sin() + x.cos(),
        x.cumsum(-1) * x.sum(-1, keepdim=True) / x.std(-1, keepdim=True),
        x.gather(-1, torch.zeros_like(x, dtype=torch.long)) * x[..., :1],
        torch.addmm(x[0, 0], x[0, 0], x[0, 0]) * x,
    ]
    _ = (x.argmax(-1), x.topk(2), x.sort(), x.isfinite().all(), torch.equal(x, x), torch.allclose(x, x), mask.any(-1))
    _ = (torch.arange(4, dtype=dtype), torch.full((4, 4), 1.0, dtype=dtype).triu(1))
    _ = torch.multinomial(weights[0, 0], 1)
    _ = (torch.rand(3), torch.bernoulli(torch.full((3,), 0.5)), torch.randint(0, 3, (4,)), torch.randperm(4))
    _ = (torch.isneginf(scores).any(), torch.logical_not(mask), mask & mask)
    _ = torch.zeros(3).scatter_(0, mask[0].long(), 1)
    if backward:
        torch.autograd.grad(torch.stack([term.sum() for term in terms]).sum(), x)
        y = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
        torch.autograd.gradcheck(torch.tanh, (y,), fast_mode=True)


def _modules(dtype: torch.dtype, backward: bool) -> None:
    tokens = torch.randint(0, 5, (2, 3))
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Linear(4, 8), nn.LayerNorm(8), nn.Dropout(0.1), nn.ReLU(), nn.GELU(), nn.Tanh()
    ).to(dtype)
    recurrent = nn.GRU(8, 4, batch_first=True, bidirectional=True).to(dtype)
    cell = nn.GRUCell(8, 8).to(dtype)
    hidden = model(tokens)
    output, _ = recurrent(hidden)
    logits = output + cell(hidden[:, 0])[:, None]
    loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten()) + F.mse_loss(logits, torch.zeros_like(logits))
    if backward:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    model.eval()
    with torch.no_grad():
        model(tokens)


def _half(dtype: torch.dtype) -> None:
    x = torch.randn(2, 4, 4).to(dtype)
    weights = torch.softmax((x @ x.transpose(-2, -1)).masked_fill(x > 9, float("-inf")).float(), -1).to(dtype)
    _ = (weights @ x, x.isfinite().all(), x.double(), torch.einsum("bqd,bkd->bqk", x, x), torch.finfo(dtype).min)


def _languages() -> None:
    random.seed(0)
    compile("async def f():\n    await g()\n", "<warm>", "exec")
    asyncio.new_event_loop().close()
    torch.manual_seed(random.randrange(2**31))
