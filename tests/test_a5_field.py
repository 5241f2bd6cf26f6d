"""The layers and stacks of a5 are those of the field: with the same weights they equal torch.nn's."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from autograder import course

SIZES = 12, 3, 20
SEEDS = [(seed, norm_first) for seed in (0, 1) for norm_first in (False, True)]


@pytest.fixture(scope="module")
def a5():
    return course.reference(course.load(Path(__file__).parents[1], "a5_transformer"))


def theirs(kind, norm_first):
    return kind(*SIZES, dropout=0.0, norm_first=norm_first, batch_first=True, dtype=torch.float64)


def shaken(module):
    """No two parts alike: torch begins with biases of zero and norms of one."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def renamed(state):
    """torch's names in a5's words."""
    names = {}
    for name, tensor in state.items():
        name = name.replace("multihead_attn", "cross_attn")
        for part in ("linear1", "linear2"):
            name = name.replace(part, f"feed_forward.{part}")
        names[name] = tensor
    return names


def ours(a5, kind, *sizes, norm_first, weights):
    module = getattr(a5, kind)(*sizes, dropout=0.0, norm_first=norm_first).double()
    module.load_state_dict(renamed(weights))
    return module


def inputs():
    """Words, memory, and masks with true where a query may look: of the words (T, T) and of the memory's padding."""
    x, memory = torch.randn(3, 5, 12, dtype=torch.float64), torch.randn(3, 7, 12, dtype=torch.float64)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    real = torch.arange(7) < torch.tensor([[7], [4], [1]])
    return x, memory, mask, real


def agree_in_value_and_gradient(mine, other, x, mine_out, other_out):
    assert_close(mine_out, other_out, rtol=1e-9, atol=1e-9)
    factors = torch.randn_like(mine_out)
    gradients = [torch.autograd.grad((out * factors).sum(), [x, *part.parameters()]) for out, part in
                 ((mine_out, mine), (other_out, other))]  # fmt: skip
    assert_close(gradients[0][0], gradients[1][0], rtol=1e-8, atol=1e-8)
    sums = [sum(float(gradient.square().sum()) for gradient in each) for each in gradients]
    assert sums[0] == pytest.approx(sums[1], rel=1e-7)


@pytest.mark.parametrize(("seed", "norm_first"), SEEDS)
def test_the_encoder_layer_is_torchs(a5, seed, norm_first):
    torch.manual_seed(seed)
    layer = shaken(theirs(nn.TransformerEncoderLayer, norm_first))
    mine = ours(a5, "EncoderLayer", *SIZES, norm_first=norm_first, weights=layer.state_dict())
    x, _, mask, _ = inputs()
    x.requires_grad_()
    agree_in_value_and_gradient(mine, layer, x, mine(x, mask), layer(x, src_mask=~mask))


@pytest.mark.parametrize(("seed", "norm_first"), SEEDS)
def test_the_decoder_layer_is_torchs(a5, seed, norm_first):
    torch.manual_seed(seed)
    layer = shaken(theirs(nn.TransformerDecoderLayer, norm_first))
    mine = ours(a5, "DecoderLayer", *SIZES, norm_first=norm_first, weights=layer.state_dict())
    x, memory, mask, real = inputs()
    x.requires_grad_()
    expected = layer(x, memory, tgt_mask=~mask, memory_key_padding_mask=~real)
    agree_in_value_and_gradient(mine, layer, x, mine(x, memory, mask, real[:, None]), expected)


@pytest.mark.parametrize(("seed", "norm_first"), SEEDS)
def test_the_encoder_is_torchs(a5, seed, norm_first):
    torch.manual_seed(seed)
    final = nn.LayerNorm(12, dtype=torch.float64) if norm_first else None
    layer = theirs(nn.TransformerEncoderLayer, norm_first)
    stack = shaken(nn.TransformerEncoder(layer, 3, norm=final, enable_nested_tensor=False))
    mine = ours(a5, "Encoder", 3, *SIZES, norm_first=norm_first, weights=stack.state_dict())
    memory, real = inputs()[1], inputs()[3]
    memory.requires_grad_()
    expected = stack(memory, src_key_padding_mask=~real)
    agree_in_value_and_gradient(mine, stack, memory, mine(memory, real[:, None]), expected)


@pytest.mark.parametrize(("seed", "norm_first"), SEEDS)
def test_the_decoder_is_torchs(a5, seed, norm_first):
    torch.manual_seed(seed)
    final = nn.LayerNorm(12, dtype=torch.float64) if norm_first else None
    stack = shaken(nn.TransformerDecoder(theirs(nn.TransformerDecoderLayer, norm_first), 3, norm=final))
    mine = ours(a5, "Decoder", 3, *SIZES, norm_first=norm_first, weights=stack.state_dict())
    x, memory, mask, real = inputs()
    x.requires_grad_()
    expected = stack(x, memory, tgt_mask=~mask, memory_key_padding_mask=~real)
    agree_in_value_and_gradient(mine, stack, x, mine(x, memory, mask, real[:, None]), expected)


@pytest.mark.parametrize("norm_first", [False, True])
@torch.no_grad()
def test_torchs_fast_path_in_eval_agrees_too(a5, norm_first):
    torch.manual_seed(3)
    layer = shaken(theirs(nn.TransformerEncoderLayer, norm_first)).eval()
    mine = ours(a5, "EncoderLayer", *SIZES, norm_first=norm_first, weights=layer.state_dict()).eval()
    x, _, mask, _ = inputs()
    assert_close(mine(x), layer(x), rtol=1e-9, atol=1e-9)
    assert_close(mine(x, mask), layer(x, src_mask=~mask), rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_the_whole_is_nn_transformer_between_embeddings_and_generator(a5):
    """nn.Transformer has final norms whether pre or post; with norm_first they are ours."""
    torch.manual_seed(4)
    core = nn.Transformer(12, 3, 2, 2, 20, dropout=0.0, norm_first=True, batch_first=True, dtype=torch.float64)
    shaken(core)
    model = a5.Transformer(11, 13, 12, 3, 2, 20, dropout=0.0, norm_first=True).double()
    mine = {name: tensor for name, tensor in model.state_dict().items() if "coder" not in name}
    model.load_state_dict(mine | renamed(core.state_dict()))
    source, target = torch.randint(1, 11, (3, 7)), torch.randint(1, 13, (3, 5))
    source[1, 4:], source[2, 1:], target[2, 3:] = 0, 0, 0
    embedded = [model.embed(model.source_embedding, source), model.embed(model.target_embedding, target)]
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    states = core(
        *embedded, tgt_mask=future, src_key_padding_mask=source == 0, tgt_key_padding_mask=target == 0,
        memory_key_padding_mask=source == 0,
    )  # fmt: skip
    assert_close(model(source, target), model.generator(states), rtol=1e-9, atol=1e-9)
