"""What positions must do: the table by its formula and its laws, and the modules that add it by laws alone.

The modules are compared with what they answered before, or with the student's own table, so that a mistake in one step
costs the points of that step and no more. For the same reason one check looks at training, and the others turn it off.
"""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
ROUNDING = {SINGLE: (1e-6, 1e-6), DOUBLE: (1e-13, 1e-13), HALF: (1e-3, 2e-3), BRAIN: (8e-3, 1e-2)}


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def off(length):
    """How far a table of this length may be off: float32 has seven digits, and a large angle takes some of them."""
    return 1e-5 + 2e-7 * length


def formula(length, d_model, first=0):
    """The rows of the table from `first` on, in float64, on the CPU."""
    position = torch.arange(first, length, dtype=DOUBLE)[:, None]
    angle = position * 10000 ** (-torch.arange(0, d_model, 2, dtype=DOUBLE) / d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def near(answer, expected, atol):
    assert_close(answer, expected, rtol=0, atol=atol, equal_nan=True)


def tensor(answer, *shape):
    """The answer, if it is a tensor of this shape: on the CPU, in float64."""
    assert isinstance(answer, torch.Tensor), f"expected a tensor, got {type(answer).__name__}"
    assert answer.shape == shape, f"expected the shape {shape}, got {tuple(answer.shape)}"
    return answer.detach().to("cpu", DOUBLE)


def telling_apart(rows):
    """The same, if most of its rows differ from the first: equal rows would keep many a law."""
    differs = (rows[..., 1:, :] - rows[..., :1, :]).abs().amax(dim=-1) > 0.01
    assert differs.numel() == 0 or differs.double().mean() > 0.5, "different positions get the same row"
    return rows


def refuses(suspect, mistake, function, *args):
    """A ValueError comes, and nothing else."""
    try:
        function(*args)
    except (ValueError, NotImplementedError) as error:
        if isinstance(error, ValueError):
            return
        raise
    except Exception:
        suspect(mistake)
        raise
    suspect(mistake)
    pytest.fail("no ValueError")


def table(student, length, d_model):
    """The student's table. A dimension of 1 in front costs a check of its own, not all of them."""
    answer = student.sinusoidal_encoding(length, d_model)
    if isinstance(answer, torch.Tensor) and answer.shape == (1, length, d_model):
        answer = answer[0]
    return tensor(answer, length, d_model)


def adds_the_table(student, rows):
    """The last rows that were added to (B, T, d_model) are those of the formula, or of the student's own step 1."""
    _, length, d_model = rows.shape
    first = max(length - 300, 0)
    rows, right = rows[:, first:], formula(length, d_model, first)
    if not torch.allclose(rows, right.expand_as(rows), rtol=0, atol=off(length)):
        right = table(student, length, d_model)[first:]
    near(rows, right.expand_as(rows), off(length))


def turns(rows):
    """Each pair as the tip of a hand: (length, d_model / 2) complex numbers."""
    return torch.complex(rows[:, 1::2].contiguous(), rows[:, 0::2].contiguous())


def encoder(student, device, d_model, dtype=SINGLE):
    """The student's SinusoidalPositionalEncoding."""
    module = student.SinusoidalPositionalEncoding(d_model).to(device)
    return module.to(dtype) if dtype != SINGLE else module


def embedder(student, device, max_length, d_model, dtype=SINGLE):
    """The student's LearnedPositionalEmbedding, and the weight that it was given."""
    weight = draw(device, max_length, d_model, dtype=dtype)
    module = student.LearnedPositionalEmbedding(max_length, d_model).to(device)
    if dtype != SINGLE:
        module.to(dtype)
    module.load_weights({"weight": weight})
    return module, weight


def summed(module, x):
    """What comes back for x, if it has its shape, dtype and device, and if anything was added at all."""
    answer = module(x)
    difference = tensor(answer, *x.shape) - x.detach().to("cpu", DOUBLE)
    assert answer.dtype == x.dtype, f"{x.dtype} became {answer.dtype}"
    assert answer.device.type == x.device.type, f"x is on {x.device}, the result on {answer.device}"
    assert x.size(1) == 1 or (difference.abs() > 0.01).any(), "nothing was added"
    return answer


def added(module, x):
    """What was added to x, in float64."""
    return (summed(module, x).detach().double() - x.detach().double()).cpu()


@torch.no_grad()
def views_are_welcome(module, device, d_model):
    views = (
        draw(device, 7, 3, d_model).transpose(0, 1),
        draw(device, 3, 14, 2 * d_model)[:, ::2, d_model:],
        draw(device, 1, 7, d_model).expand(3, 7, d_model),
        draw(device, 3, d_model, 7).transpose(1, 2),
    )
    rows = added(module, draw(device, 3, 7, d_model))
    for x in views:
        near(added(module, x), rows, 1e-5)


@torch.no_grad()
def attention_sees_the_order(module, device, d_model):
    """Shuffled words get other things than they got before, and not the same in another order."""
    x, order = 0.5 * draw(device, 2, 8, d_model), torch.tensor([4, 7, 2, 1, 6, 0, 5, 3], device=device)
    one, other = summed(module, x), summed(module, x[:, order].contiguous())
    before = scaled_dot_product_attention(one, one, x)
    after = scaled_dot_product_attention(other, other, x[:, order])
    changed = (before[:, order] - after).abs().amax(dim=(1, 2))
    assert (changed > 1e-3).all(), "the words get the same wherever they stand"


# The table


@pytest.mark.points(1.5)
@pytest.mark.parametrize(("length", "d_model"), [(1, 2), (45, 6), (45, 20), (33, 128)])
def test_table_follows_the_formula(student, suspect, length, d_model):
    """The table: its values are those of the formula, for any length and any even width."""
    rows, right = table(student, length, d_model), formula(length, d_model)
    if d_model > 2 and torch.allclose(rows, torch.cat([right[:, 0::2], right[:, 1::2]], dim=1), rtol=0, atol=1e-3):
        suspect("sines-then-cosines")
    near(rows, right, off(length))


@pytest.mark.points(0.5)
def test_table_starts_with_zeros_and_ones(student):
    """The table: at position 0 each sine is 0 and each cosine is 1."""
    rows = telling_apart(table(student, 4, 10))
    near(rows[0], torch.tensor([0.0, 1.0] * 5, dtype=DOUBLE), 1e-6)


@pytest.mark.points(0.5)
def test_table_has_pairs_on_the_unit_circle(student):
    """The table: columns 2i and 2i + 1 belong together, and sin² + cos² = 1 in each such pair."""
    rows = telling_apart(table(student, 50, 14))
    near(turns(rows).abs(), torch.ones(50, 7, dtype=DOUBLE), 2 * off(50))


@pytest.mark.points(0.5)
def test_table_has_the_right_wavelengths(student):
    """The table: each pair turns by the same angle at every step, and these angles go down geometrically from 1."""
    hands = turns(telling_apart(table(student, 40, 16)))
    angles = (hands[1:] * hands[:-1].conj()).angle().abs()
    near(angles, (10000 ** (-torch.arange(8, dtype=DOUBLE) / 8)).expand(39, 8), 5e-5)


@pytest.mark.points(0.5)
def test_table_rows_do_not_depend_on_the_length(student):
    """The table: a position has the same row, however many others are asked for."""
    long = telling_apart(table(student, 70, 8))
    for length in (1, 6, 31):
        near(table(student, length, 8), long[:length], off(70))


@pytest.mark.points(1)
def test_table_is_right_far_out(student, suspect):
    """The table: positions up to 5,000 are as right as float32 allows."""
    rows = table(student, 5000, 6)
    if torch.equal(rows[-1], rows[-2]):
        suspect("positions-stop-growing")
    near(rows, formula(5000, 6), off(5000))


@pytest.mark.points(0.5)
def test_table_has_shape_and_dtype(student, suspect):
    """The table: its shape is (length, d_model), its dtype is PyTorch's default, and it can be asked for by name."""
    for length, d_model in ((1, 6), (9, 2), (5, 12)):
        answer = student.sinusoidal_encoding(length=length, d_model=d_model)
        if isinstance(answer, torch.Tensor) and answer.shape == (1, length, d_model):
            suspect("table-has-a-batch")
        tensor(answer, length, d_model)
        if answer.dtype == DOUBLE:
            suspect("table-in-float64")
        assert answer.dtype == SINGLE, f"the dtype is {answer.dtype}"


@pytest.mark.points(0.5)
def test_table_refuses_odd_widths(student, suspect):
    """The table: an odd width raises a ValueError."""
    table(student, 5, 8)
    for d_model in (7, 1):
        refuses(suspect, "table-takes-odd-widths", student.sinusoidal_encoding, 5, d_model)


# Adding it


@pytest.mark.points(1)
@pytest.mark.parametrize("shape", [(3, 7, 6), (1, 40, 16), (2, 7, 2)], ids=str)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_adds_the_rows(student, device, suspect, shape):
    """Adding the table: each word gets the row of its place, once, and nothing else happens to it."""
    x = draw(device, *shape)
    rows = added(encoder(student, device, shape[2]).eval(), x)
    if torch.allclose(rows, rows[:, :1].expand(shape), atol=1e-5) and not torch.allclose(rows, rows[:1], atol=1e-2):
        suspect("counts-sentences")
    parts = torch.stack([x.cpu().double().flatten(), formula(*shape[1:]).expand(shape).flatten()], dim=1)
    of_x, of_table = torch.linalg.lstsq(parts, rows.flatten()).solution.tolist()
    if torch.allclose(parts @ torch.tensor([of_x, of_table], dtype=DOUBLE), rows.flatten(), atol=1e-3):
        if abs(of_x) > 0.01:
            suspect("words-scaled")
        elif abs(of_table - 1) > 0.01:
            suspect("rows-scaled")
    adds_the_table(student, rows)


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_is_the_same_every_time(student, device):
    """Adding the table: every sentence of a batch, every call and every x get the same rows."""
    module = encoder(student, device, 8).eval()
    first = added(module, draw(device, 3, 9, 8))
    rows = first[0]
    near(first, rows.expand(3, 9, 8), 1e-5)
    module(draw(device, 2, 9, 8, dtype=HALF))
    for batch, length, size in ((1, 14, 1), (4, 5, 3), (1, 9, 1), (1, 9, 1), (3, 9, 0)):
        again = added(module, size * draw(device, batch, length, 8))
        common = min(length, 9)
        near(again[:, :common], rows[:common].expand(batch, common, 8), off(14))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_is_the_same_in_training(student, device, suspect):
    """Adding the table: train() and eval() make no difference."""
    module, x = encoder(student, device, 16), draw(device, 4, 12, 16)
    one, other = summed(module.train(), x), summed(module, x)
    calm, still = summed(module.eval(), x), summed(module, x)
    if torch.allclose(calm, still, atol=1e-5) and not torch.allclose(one, other, atol=1e-5):
        suspect("encoding-drops-out")
    near(one, calm, 1e-5)
    near(other, calm, 1e-5)


@pytest.mark.points(0.25)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_knows_no_longest_sentence(student, device):
    """Adding the table: a single word, a batch of one, and longer sentences than before, in any order."""
    module = encoder(student, device, 2).eval()
    names = module.state_dict().keys()
    for batch, length, dtype in ((1, 1, SINGLE), (1, 300, HALF), (2, 3, SINGLE), (2, 200, SINGLE), (1, 500, SINGLE)):
        x = torch.zeros(batch, length, 2, dtype=dtype, device=device)
        answer = module(x)
        if dtype == HALF:
            continue  # another check looks at it; here it should leave nothing behind
        adds_the_table(student, tensor(answer, *x.shape))
    assert module.state_dict().keys() == names, "a longer table got into the state_dict"


@pytest.mark.points(0.25)
@pytest.mark.cpu(8)
@torch.no_grad()
def test_adding_reaches_far_positions(student, device, suspect):
    """Adding the table: the words of a very long sentence get the rows of their places, with your own table."""
    module = encoder(student, device, 2).eval()
    for batch, length in ((1, 1), (2, 700), (1, 5200), (2, 3), (1, 100_001)):
        try:
            answer = module(torch.zeros(batch, length, 2, device=device))
        except (IndexError, ValueError, RuntimeError) as error:
            if length > 700 and not isinstance(error, NotImplementedError):
                suspect("table-too-short-at-5000")
            raise
        rows = tensor(answer, batch, length, 2)
        if length > 1 and (rows[0, -2:] - rows[0, -1:]).abs().max() < 1e-6:
            suspect("positions-stick-at-the-end")
        adds_the_table(student, rows)


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_keeps_double_precision(student, device, suspect):
    """Adding the table: float64 comes back as float64 and no digit of x is lost; float32 stays float32."""
    step = 1e-9 * draw(device, 2, 6, 8, dtype=DOUBLE)
    x = draw(device, 2, 6, 8, dtype=DOUBLE)
    module = encoder(student, device, 8).eval()
    for _ in ("as it is made", "in double precision"):
        result = summed(module, x)
        moved, wanted = summed(module, x + step) - result, (x + step) - x
        if 1e-12 < (moved - wanted).abs().max() < 2e-6:  # what float32 does to a number of this size
            suspect("digits-of-x-lost")
        near(moved, wanted, 1e-13)
        near(added(module, x.float()), (result - x).cpu(), 1e-5)
        module.to(DOUBLE)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("dtype", [HALF, BRAIN], ids=str)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_survives_half_precision(student, device, dtype):
    """Adding the table: float16 and bfloat16 come back as they went in, and far positions are still told apart."""
    x = (0.1 * draw(device, 2, 500, 8)).to(dtype)  # bfloat16 can't count beyond 256
    module = encoder(student, device, 8).eval()
    rows = added(module, torch.zeros_like(x, dtype=SINGLE))
    rtol, atol = ROUNDING[dtype]
    for _ in ("as it is made", "in half precision"):
        assert_close(summed(module, x).cpu().double(), x.cpu().double() + rows, rtol=rtol, atol=atol)
        module.to(dtype)


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_adding_leaves_nothing_to_save(student, device, suspect):
    """Adding the table: no parameters and an empty state_dict, before a call and after."""
    module = student.SinusoidalPositionalEncoding(d_model=8).to(device)
    for _ in ("before a call", "after it"):
        found = [name for name, _ in module.named_parameters()]
        if found:
            suspect("table-is-a-parameter")
        assert not found, f"it has parameters: {found}"
        found = list(module.state_dict())
        if found:
            suspect("table-in-the-state-dict")
        assert not found, f"the state_dict holds {found}"
        module.load_state_dict({})
        with torch.no_grad():
            summed(module, draw(device, 2, 300, 8))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_adding_lets_gradients_through(student, device):
    """Adding the table: the gradient reaches x as it came."""
    module = encoder(student, device, 8).eval()
    for length in (5, 300):
        x, cotangent = draw(device, 3, length, 8).requires_grad_(), draw(device, 3, length, 8)
        (summed(module, x) * cotangent).sum().backward()
        assert x.grad is not None, "no gradient reaches x"
        near(x.grad, cotangent, 1e-6)


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_adding_takes_views_and_leaves_them(student, device, changed_arguments):
    """Adding the table: transposed, sliced and expanded tensors are as good as any, and none is changed in place."""
    views_are_welcome(encoder(student, device, 8).eval(), device, 8)
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_refuses_odd_widths(student, device, suspect):
    """Adding the table: an odd width raises a ValueError, as soon as the module is built."""
    summed(encoder(student, device, 6), draw(device, 2, 6, 6))
    for d_model in (7, 1):
        refuses(suspect, "module-takes-odd-widths", student.SinusoidalPositionalEncoding, d_model)


# The matrix


@pytest.mark.points(1)
@pytest.mark.parametrize(("k", "d_model"), [(1, 2), (5, 6), (40, 16), (3, 64), (700, 10)])
@pytest.mark.stand_in("sinusoidal_encoding")
def test_shift_moves_every_position_on(student, k, d_model):
    """The shift matrix: it takes the row of each position to the row k steps later."""
    rows = formula(200 + k, d_model)
    moved = rows[:200] @ tensor(student.shift_matrix(k, d_model), d_model, d_model).T
    near(moved, rows[k:], 2 * off(k))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_shift_moves_back_and_stays(student):
    """The shift matrix: a negative k moves back, and 0 moves nothing."""
    rows = formula(200, 12)
    near(tensor(student.shift_matrix(0, 12), 12, 12), torch.eye(12, dtype=DOUBLE), 1e-5)
    for k in (1, 2, 60):
        moved = rows[k:] @ tensor(student.shift_matrix(-k, 12), 12, 12).T
        near(moved, rows[:-k], 2 * off(k))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_shift_steps_follow_one_another(student):
    """The shift matrix: j steps and then k steps are j + k steps, and turning changes no length."""
    three, eight, eleven = (tensor(student.shift_matrix(k, 8), 8, 8) for k in (3, 8, 11))
    eye = torch.eye(8, dtype=DOUBLE)
    assert (three - eye).abs().max() > 0.1, "three steps move nothing"
    near(eight @ three, eleven, 1e-4)
    near(eleven @ eleven.T, eye, 1e-4)


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_shift_has_a_dtype_and_refuses_odd_widths(student, suspect):
    """The shift matrix: its dtype is PyTorch's default, an odd width raises a ValueError, and arguments have names."""
    answer = student.shift_matrix(k=2, d_model=4)
    tensor(answer, 4, 4)
    if answer.dtype == DOUBLE:
        suspect("shift-in-float64")
    assert answer.dtype == SINGLE, f"the dtype is {answer.dtype}"
    for d_model in (7, 1):
        refuses(suspect, "shift-takes-odd-widths", student.shift_matrix, 2, d_model)


# Positions that are learnt


@pytest.mark.points(1)
@torch.no_grad()
def test_learned_adds_the_first_rows(student, device):
    """Learnt positions: each word of each sentence gets the row of its place, whatever the length, training or not."""
    module, weight = embedder(student, device, 11, 6)
    rows = weight.cpu().double()
    for batch, length in ((3, 7), (1, 11), (2, 1), (7, 3)):
        near(added(module, draw(device, batch, length, 6)), rows[:length].expand(batch, length, 6), 1e-6)
    near(added(module.eval(), draw(device, 4, 8, 6)), rows[:8].expand(4, 8, 6), 1e-6)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_learned_refuses_what_is_too_long(student, device, suspect):
    """Learnt positions: a sentence may use every row, and a longer one raises a ValueError."""
    module, _ = embedder(student, device, 7, 4)
    for length in (8, 14, 50):
        refuses(suspect, "learned-wrong-error", module, draw(device, 2, length, 4))
    summed(module, draw(device, 2, 7, 4))


@pytest.mark.points(0.5)
def test_learned_has_the_right_gradients(student, device, suspect):
    """Learnt positions: the gradients of x and of the rows that were used are right, and no other row gets one."""
    module, _ = embedder(student, device, 9, 4, DOUBLE)
    parameters = list(module.parameters())
    assert sum(parameter.numel() for parameter in parameters) == 9 * 4, "it should learn max_length * d_model numbers"
    x, cotangent = draw(device, 3, 5, 4, dtype=DOUBLE).requires_grad_(), draw(device, 3, 5, 4, dtype=DOUBLE)
    before = (summed(module, x) * cotangent).sum()
    before.backward()
    assert x.grad is not None, "no gradient reaches x"
    near(x.grad, cotangent, 1e-9)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    touched = sum((gradient != 0).sum().item() for gradient in gradients)
    if not touched:
        suspect("learned-not-learned")
    assert touched == 5 * 4, f"5 rows of 4 numbers were used, {touched} numbers got a gradient"
    steps = [draw(device, *parameter.shape, dtype=DOUBLE) for parameter in parameters]
    promised = sum((gradient * step).sum() for gradient, step in zip(gradients, steps, strict=True))
    with torch.no_grad():
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.add_(step)
        near((summed(module, x) * cotangent).sum() - before, promised, 1e-9)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_learned_keeps_the_dtype(student, device):
    """Learnt positions: float64, float16 and bfloat16 come back as they went in, with their precision."""
    module, _ = embedder(student, device, 9, 6, DOUBLE)
    x = draw(device, 2, 5, 6, dtype=DOUBLE)
    rows = summed(module, x) - x
    for dtype in (DOUBLE, HALF, BRAIN):
        x, (rtol, atol) = draw(device, 2, 5, 6, dtype=dtype), ROUNDING[dtype]
        assert_close(summed(module.to(dtype), x).double(), x.double() + rows, rtol=rtol, atol=atol)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_learned_is_saved_and_loaded(student, device):
    """Learnt positions: the rows are in the state_dict, and another module that loads it answers alike."""
    one, _ = embedder(student, device, 9, 6)
    other = student.LearnedPositionalEmbedding(max_length=9, d_model=6).to(device)
    x = draw(device, 2, 8, 6)
    expected = summed(one, x)
    assert (other(x=x) - expected).abs().max() > 0.01, "other rows make no difference"
    other.load_state_dict(one.state_dict())
    near(summed(other, x), expected, 1e-6)


@pytest.mark.points(0.5)
def test_learned_takes_views_and_leaves_them(student, device, changed_arguments):
    """Learnt positions: transposed, sliced and expanded tensors are as good as any, and none is changed in place."""
    module, _ = embedder(student, device, 9, 6)
    views_are_welcome(module, device, 6)
    assert not changed_arguments, changed_arguments


# What they are for


@pytest.mark.points(0.5)
@pytest.mark.stand_in("sinusoidal_encoding")
def test_order_is_seen_with_the_table(student, device):
    """Attention sees the order of the words once the table is added."""
    attention_sees_the_order(encoder(student, device, 8), device, 8)


@pytest.mark.points(0.5)
def test_order_is_seen_with_learnt_positions(student, device):
    """Attention sees the order of the words once learnt positions are added."""
    module, _ = embedder(student, device, 9, 8)
    attention_sees_the_order(module, device, 8)


def share_of_right_answers(rows):
    """The notebook's experiment, once."""
    dictionary, others = torch.randn(12, 32), 2 + torch.rand(600, 10).argsort(dim=1)[:, :4]
    words = torch.cat([torch.tensor([0, 1]).expand(600, 2), others], dim=1)
    words = words.gather(1, torch.rand(600, 6).argsort(dim=1))
    dog_first = (words == 0).int().argmax(dim=1) < (words == 1).int().argmax(dim=1)
    answer = torch.where(dog_first, 1.0, -1.0)
    projected = (dictionary[words] + rows).flatten(0, 1) @ (torch.randn(32, 3 * 8 * 8) / math.sqrt(32))
    query, key, value = projected.view(600, 6, 3, 8, 8).permute(2, 0, 3, 1, 4)  # each (600, 8, 6, 8)
    features = scaled_dot_product_attention(query, key, value).mean(dim=2).flatten(1)
    known, new = features[:400], features[400:]
    readout = torch.linalg.solve(known.T @ known + 1e-3 * torch.eye(64), known.T @ answer[:400])
    return ((new @ readout).sign() == answer[400:]).float().mean().item()


@pytest.mark.points(1)
def test_the_reported_numbers_are_measured(student, suspect):
    """The experiment: both numbers are what a measurement gives."""
    reported = student.right_without_positions, student.right_with_positions
    assert all(isinstance(number, (int, float, torch.Tensor)) for number in reported), f"no numbers: {reported}"
    low, high = (float(number) for number in reported)
    for mistake, without, with_positions in (
        ("numbers-in-percent", 50, 90),
        ("numbers-exchanged", 0.9, 0.5),
        ("number-of-guessing", 0.5, 0.5),
        ("number-of-the-drowned", 0.5, 0.68),
    ):
        if abs(low / without - 1) < 0.15 and abs(high / with_positions - 1) < 0.15:
            suspect(mistake)
    for number, rows, draws in zip(reported, (torch.zeros(6, 32), formula(6, 32).float()), (2, 3), strict=True):
        measured = sum(share_of_right_answers(rows) for _ in range(draws)) / draws
        assert abs(float(number) - measured) < 0.09, f"{float(number)} was reported, {measured:.3f} measured"


# Elsewhere: last, for each needs a worker of its own


@pytest.mark.points(0.5)
@pytest.mark.cpu(8)
@pytest.mark.last
@pytest.mark.stand_in("sinusoidal_encoding")
@torch.no_grad()
def test_adding_works_on_another_device(student, device):
    """Adding the table: it works on the device of x, whichever that is."""
    module = encoder(student, device, 2)  # narrow, for on a device that is not there every operation takes long
    summed(module, draw(device, 2, 5, 2))
    for length in (5, 150):
        assert not module.on_another_device(torch.zeros(2, length, 2)), "something stays on the CPU"


@pytest.mark.points(0.5)
@pytest.mark.last
@torch.no_grad()
def test_learned_works_on_another_device(student, device):
    """Learnt positions: they work on the device of x, whichever that is."""
    module, _ = embedder(student, device, 9, 6)
    summed(module, draw(device, 2, 5, 6))
    assert not module.on_another_device(torch.zeros(2, 5, 6)), "something stays on the CPU"
