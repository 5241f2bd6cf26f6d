"""The public tests of 'Positional encoding': run `pytest` in this folder."""

import math

import torch

from a3_positional_encoding import (
    LearnedPositionalEmbedding,
    SinusoidalPositionalEncoding,
    shift_matrix,
    sinusoidal_encoding,
)


def test_a_row_for_each_position():
    """The table has a row for each position and a column for each component, in float32."""
    for length, d_model in [(5, 8), (1, 2), (9, 6)]:
        table = sinusoidal_encoding(length, d_model)
        shape = tuple(table.shape)
        assert shape == (length, d_model), f"expected the shape ({length}, {d_model}), got {shape}"
        assert table.dtype == torch.float32, f"the table should be float32, not {table.dtype}"


def test_position_zero():
    """At position 0 every sine is 0 and every cosine is 1."""
    row = sinusoidal_encoding(3, 6)[0]
    assert torch.allclose(row, torch.tensor([0.0, 1.0] * 3), atol=1e-5), (
        f"the first row should be 0, 1, 0, 1, 0, 1; yours is {row.tolist()}"
    )


def test_rows_by_hand():
    """Rows 1 and 2 of width 4 are those of the small table above."""
    table = sinusoidal_encoding(3, 4)
    by_hand = {1: [0.84147, 0.54030, 0.01000, 0.99995], 2: [0.90930, -0.41615, 0.02000, 0.99980]}
    for position, wanted in by_hand.items():
        row = [round(number, 5) for number in table[position].tolist()]
        right = torch.allclose(table[position], torch.tensor(wanted), atol=1e-4)
        assert right, f"row {position} should be {wanted}, but yours is {row}"


def test_each_pair_is_a_point_on_a_circle():
    """The two columns of a pair share their frequency, so their squares add up to one."""
    squares = sinusoidal_encoding(50, 16).square().reshape(50, 8, 2).sum(dim=-1)
    worst = (squares - 1).abs().max()
    assert worst < 1e-4, f"sin² + cos² should be 1 in columns 2i and 2i + 1; yours is off by up to {worst:.2f}"


def test_the_waves_get_longer():
    """Each pair is slower than the one before, by the same factor."""
    table = sinusoidal_encoding(2, 8)
    angles = torch.atan2(table[1, 0::2], table[1, 1::2]).tolist()
    expected = [1.0, 0.1, 0.01, 0.001]
    assert all(abs(got - wanted) < 1e-3 * wanted for got, wanted in zip(angles, expected)), (
        f"with width 8, the four pairs turn by 1, 0.1, 0.01 and 0.001 at each step; yours by {angles}"
    )


def test_odd_widths_are_refused():
    """An odd width raises a ValueError."""
    try:
        table = sinusoidal_encoding(4, 5)
    except ValueError:
        return
    raise AssertionError(f"width 5 should raise a ValueError, but gave the shape {tuple(table.shape)}")


def test_each_sentence_gets_the_same_rows():
    """Each word gets the row of its place, in each sentence of the batch."""
    x = torch.randn(3, 5, 8)
    result = SinusoidalPositionalEncoding(8)(x)
    assert result.shape == x.shape, f"shape (3, 5, 8) should stay as it is, but became {tuple(result.shape)}"
    added = result - x
    same = torch.allclose(added[0], added[1], atol=1e-5)
    assert same, "the same rows should be added to each sentence of a batch"
    row = [round(number, 3) for number in added[0, 0].tolist()]
    assert torch.allclose(added[0, 0], torch.tensor([0.0, 1.0] * 4), atol=1e-5), (
        f"to the first word, 0, 1, 0, 1, ... should be added; yours adds {row}"
    )
    got = added[0, 4, 1].item()
    right = abs(got - math.cos(4)) < 1e-4
    assert right, f"to column 1 of the fifth word, cos 4 = -0.654 should be added, not {got:.3f}"


def test_no_sentence_is_too_long():
    """A sentence may be as long as it likes, and the next one short again."""
    encode = SinusoidalPositionalEncoding(4)
    for length in (3, 7000, 1):
        rows = encode(torch.zeros(2, length, 4))
        assert rows.shape == (2, length, 4), f"length {length} came back as {tuple(rows.shape)}"
        right = abs(rows[0, -1, 0].item() - math.sin(length - 1)) < 2e-3
        assert right, f"to column 0 of the last of {length} words, sin {length - 1} should be added"


def test_the_dtype_of_x_is_kept():
    """The result has the dtype of x, whatever the dtype of the table."""
    encode = SinusoidalPositionalEncoding(6)
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.float32):
        result = encode(torch.randn(2, 4, 6, dtype=dtype))
        assert result.dtype == dtype, f"{dtype} went in and {result.dtype} came out"


def test_there_is_nothing_to_save():
    """No parameters, and an empty state_dict, before a call and after."""
    encode = SinusoidalPositionalEncoding(6)
    encode(torch.zeros(1, 600, 6))
    found = [name for name, _ in encode.named_parameters()]
    assert not found, f"there is nothing to learn in this table, but it has parameters: {found}"
    found = list(encode.state_dict())
    assert not found, f"there is nothing to save, but the state_dict holds {found}"


def test_it_is_just_a_sum():
    """The argument is left alone, and training mode changes nothing."""
    encode = SinusoidalPositionalEncoding(6)
    x = torch.randn(2, 4, 6)
    kept = x.clone()
    first = encode.train()(x)
    assert torch.equal(x, kept), "x itself was changed; return a new tensor"
    same = torch.allclose(first, encode.eval()(x), atol=1e-5)
    assert same, "train() and eval() should give the same: there is no dropout here"


def test_one_block_by_hand():
    """With width 2 there is one block, with cos k and sin k."""
    matrix = shift_matrix(1, 2)
    shape = tuple(matrix.shape)
    assert shape == (2, 2), f"with width 2 the matrix should have shape (2, 2), not {shape}"
    assert matrix.dtype == torch.float32, f"the matrix should be float32, not {matrix.dtype}"
    expected = torch.tensor([[0.5403, 0.8415], [-0.8415, 0.5403]])
    assert torch.allclose(matrix, expected, atol=1e-3), f"expected {expected.tolist()}, got {matrix.tolist()}"


def test_pairs_do_not_meet():
    """With width 4 there are two blocks, each with its own frequency, and zeros around them."""
    matrix = shift_matrix(30, 4)
    between = torch.stack([matrix[:2, 2:], matrix[2:, :2]])
    assert between.abs().max() < 1e-4, (
        f"columns 0 and 1 are a pair, and 2 and 3; between the pairs there should be zeros, not {between.tolist()}"
    )
    for block, angle in ((matrix[:2, :2], 30.0), (matrix[2:, 2:], 0.3)):
        wanted, got = [math.cos(angle), math.sin(angle)], block[0].tolist()
        right = torch.allclose(block[0], torch.tensor(wanted), atol=1e-3)
        assert right, f"the block for the angle {angle} should begin with {wanted}, yours begins with {got}"


def test_one_matrix_moves_every_position():
    """The same matrix takes row 0 to row 5, row 1 to row 6, and so on."""
    place = torch.arange(20.0)[:, None] / torch.tensor([1.0, 10.0, 100.0, 1000.0])
    table = torch.stack([place.sin(), place.cos()], dim=-1).flatten(1)  # step 1, for this one width
    moved = table[:15] @ shift_matrix(5, 8).T
    back = torch.allclose(moved[5:], table[:10], atol=1e-3)
    assert not back, "this matrix moves back by 5, it should move on by 5"
    worst = (moved - table[5:]).abs().max().item()
    assert worst < 1e-3, f"shift_matrix(5, 8) @ PE[t] should be PE[t + 5]; it is off by up to {worst:.3f}"


def test_there_and_back():
    """Zero steps change nothing, and -k steps undo k steps."""
    eye = torch.eye(6)
    assert torch.allclose(shift_matrix(0, 6), eye, atol=1e-6), "zero steps should be the identity matrix"
    both = shift_matrix(-7, 6) @ shift_matrix(7, 6)
    assert torch.allclose(both, eye, atol=1e-4), "seven steps on and seven back should be the identity matrix"


def test_odd_widths_have_no_pairs():
    """An odd width raises a ValueError."""
    try:
        matrix = shift_matrix(1, 7)
    except ValueError:
        return
    raise AssertionError(f"width 7 should raise a ValueError, but gave the shape {tuple(matrix.shape)}")


def test_a_learnt_row_for_each_place():
    """Each word gets the learnt row of its place, in each sentence of the batch."""
    embed = LearnedPositionalEmbedding(5, 4)
    weight = torch.randn(5, 4)
    getattr(embed, "load_named", embed.load_state_dict)({"weight": weight})
    for length in (1, 3, 5):
        x = torch.randn(2, length, 4)
        result = embed(x)
        assert result.shape == x.shape, f"the shape {tuple(x.shape)} became {tuple(result.shape)}"
        right = torch.allclose(result - x, weight[:length].expand_as(x), atol=1e-5)
        assert right, f"to each sentence of {length} words, the first {length} rows should be added, in order"


def test_longer_than_learnt():
    """A sentence with more words than rows raises a ValueError."""
    embed = LearnedPositionalEmbedding(5, 4)
    try:
        embed(torch.zeros(1, 6, 4))
    except ValueError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        raise AssertionError(f"6 words and 5 rows should raise a ValueError, not {error!r}") from None
    raise AssertionError("6 words and 5 rows should raise a ValueError, but something came back")


def test_only_rows_that_were_used_learn():
    """A gradient reaches the rows that were used, and no other."""
    embed = LearnedPositionalEmbedding(5, 4)
    embed(torch.zeros(2, 3, 4)).sum().backward()
    gradients = [p.grad for p in embed.parameters() if p.grad is not None]
    assert gradients, "no gradient reaches the weight"
    touched = sum((gradient != 0).sum().item() for gradient in gradients)
    assert touched == 3 * 4, f"3 rows of 4 numbers were used, but {touched} numbers got a gradient"
