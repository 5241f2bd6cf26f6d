"""A second computation of every key of the quizzes around a1 to a4 that can be computed, by another route than theirs.

Here torch, the assignments' solutions and plain enumeration find what the banks and their draws have from formulas.
Where a wrong choice names a mistake, the solution with that mistake in it must come to the wrong choice. Keys that rest
on a paper or a step of the text alone have their citation in the bank.
"""

import ast
import itertools
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autograder import course
from autograder.quiz import bank, draw
from autograder.quiz.records import Kind

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(20)
SOLVERS = {}
QUIZZES = [f"a{number}_{when}" for number in (1, 2, 3, 4) for when in ("before", "after")]
FOLDERS = {"a1": "a1_attention", "a2": "a2_seq2seq", "a3": "a3_positional_encoding", "a4": "a4_multi_head_attention"}
UNMEASURED = {  # mistakes that show in what a class computes, named where its weights are counted
    ("a1_after", "additive-parameters"),
    ("a2_after", "weights-of-the-encoder"),
    ("a3_after", "size-of-a-learnt-table"),
    ("a4_after", "weights-of-all-heads"),
}


@cache
def assignment(short):
    return course.load(ROOT, FOLDERS[short])


@cache
def solution(short):
    """The solution of an assignment, as a module."""
    return course.reference(assignment(short))


@cache
def mistaken(short, mistake):
    """The solution with one of the assignment's known mistakes in it."""
    (found,) = [each for each in assignment(short).mistakes if each.id == mistake]
    return course.load_source(f"{short}_{mistake}", course.mutant(assignment(short), found))


class Recording:
    """The draws of a quiz, which remember what they gave last."""

    def __init__(self, draws):
        self.draws, self.last = draws, {}

    def __getattr__(self, name):
        def recorded(rng):
            self.last[name] = getattr(self.draws, name)(rng)
            return self.last[name]

        return recorded


@cache
def bank_of(name, language="en"):
    return bank.load(ROOT, name, language)


def item_of(name, id):
    return next(item for item in bank_of(name).items if item.id == id)


def filled(name, id, seed):
    """One item as a student gets it, and what was drawn for it."""
    draws = Recording(draw.draws(ROOT, name))
    (item,) = draw.fill(replace(bank_of(name), items=(item_of(name, id),)), draws, seed).items
    return item, SimpleNamespace(**draws.last[item.draw])


def keys(item):
    return [choice.text for choice in item.choices if choice.right]


def solves(name, id):
    """Marks the second computation of a drawn item: from its values to the key, a number or the text of the choice.

    One with a second argument is given the assignment's solution, right or mistaken.
    """

    def mark(function):
        SOLVERS[name, id] = function
        return function

    return mark


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def parameters(build):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def numbers(text):
    return [float(number) for number in text.split(",")]


# a1


@solves("a1_before", "dot-product")
def _(v):
    return torch.dot(torch.tensor([v.a1, v.a2, v.a3]), torch.tensor([v.b1, v.b2, v.b3])).item()


@solves("a1_before", "softmax-share")
def _(v):
    return torch.tensor([v.s1, v.s2, v.s3, v.s4]).softmax(dim=0)[0].item()


@solves("a1_before", "product-shape")
def _(v):
    query, key = torch.empty(v.B, v.L, v.d, device="meta"), torch.empty(v.B, v.S, v.d, device="meta")
    return f"`{tuple((query @ key.transpose(-2, -1)).shape)}`"


@solves("a1_after", "weight-by-hand")
def _(v, a1):
    query, keys = torch.tensor([numbers(v.q)]), torch.tensor([numbers(v.k), numbers(v.m)])
    return a1.scaled_dot_product_attention(query, keys, torch.eye(2))[0][0, 0].item()


@solves("a1_after", "context-with-a-hidden-key")
def _(v, a1):
    keys, values = torch.tensor([[v.s1], [v.s2], [v.s3]]), torch.tensor([[v.v1], [v.v2], [v.v3]], dtype=torch.float64)
    mask = torch.tensor([[True, False, True]])
    return a1.scaled_dot_product_attention(torch.ones(1, 1), keys, values, mask)[0].item()  # width 1, no scale


@solves("a1_after", "additive-parameters")
def _(v):
    return parameters(lambda: solution("a1").AdditiveAttention(v.q, v.k, v.h))


@solves("a1_after", "additive-score")
def _(v, a1):
    attention = a1.AdditiveAttention(1, 1, 2)
    attention.load_state_dict(
        {
            "query_proj.weight": torch.tensor([[v.w1], [v.w2]]),
            "key_proj.weight": torch.tensor([[v.u1], [v.u2]]),
            "score.weight": torch.tensor([[v.v1, v.v2]]),
        }
    )
    a1.masked_softmax, softmax = lambda scores, mask: scores, a1.masked_softmax  # let the scores through
    try:
        return attention(torch.tensor([[v.q]]), torch.tensor([[v.k]]), torch.ones(1, 1))[1].item()
    finally:
        a1.masked_softmax = softmax


@solves("a1_after", "sum-of-all-weights")
def _(v, a1):
    one_item = torch.randn(v.L, 3) @ torch.randn(3, v.S)
    return str(round(v.B * a1.masked_softmax(one_item).sum().item()))


def test_the_spread_of_a_dot_product():
    """Components of plus and minus 1 have mean 0 and variance 1, and their products can be counted."""
    ways = {0: 1}
    for _ in range(256):
        ways = Counter({s: ways.get(s - 1, 0) + ways.get(s + 1, 0) for s in range(-256, 257)})
    variance = Fraction(sum(s * s * count for s, count in ways.items()), sum(ways.values()))
    assert keys(item_of("a1_before", "spread-of-scores")) == [str(math.isqrt(int(variance)))]
    assert variance == 16**2


def test_shapes_that_fit():
    for choice in item_of("a1_before", "shapes-that-fit").choices:
        assert choice.right == fits(ast.literal_eval(choice.text.strip("`")), (4, 5, 7)), choice.text


def fits(shape, whole):
    try:
        return torch.broadcast_shapes(shape, whole) == whole
    except RuntimeError:
        return False


def test_nothing_by_nothing():
    assert keys(item_of("a1_before", "nothing-by-nothing"))[0] == repr((torch.tensor(0.0) / torch.tensor(0.0)).item())


def test_scores_raised_keep_their_shares():
    scores = torch.randn(4)
    torch.testing.assert_close((scores + 100).softmax(dim=0), scores.softmax(dim=0), atol=1e-4, rtol=0)


def test_hidden_scores_that_are_multiplied_or_equal():
    """The two lines of code in the quiz after a1, run."""
    scores, mask = torch.tensor([[-1.0, 5.0, 0.0, -2.0]]), torch.tensor([True, False, True, True])
    weights = (scores * mask).softmax(dim=-1)[0]
    assert weights[1] == weights[2] and weights[1] > weights[0], "the third key has score 0"
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~torch.zeros(4, dtype=torch.bool), lowest).softmax(dim=-1)
    assert weights.tolist() == [[0.25] * 4]


def test_the_root_keeps_the_spread():
    """What is said of the division by the root: spread, saturation and gradient, measured."""
    torch.manual_seed(0)
    query, key = torch.randn(2000, 1, 256), torch.randn(2000, 10, 256)
    products = (query @ key.transpose(1, 2)).squeeze(1)
    for by, spread in ((16, 1.0), (256, 1 / 16), (1, 16.0)):
        assert (products / by).std().item() == pytest.approx(spread, rel=0.05)
    largest = {by: (products / by).softmax(dim=1).amax(dim=1).mean().item() for by in (1, 16, 256)}
    assert largest[1] > 0.9 and largest[16] < 0.4 and largest[256] < 0.12, largest
    steep = {}
    for by in (1, 16):
        scores = (products / by).requires_grad_()
        scores.softmax(dim=1)[:, 0].sum().backward()
        steep[by] = scores.grad.norm(dim=1).median().item()
    assert steep[16] > 10 * steep[1]


def test_shapes_in_additive_attention():
    attention = solution("a1").AdditiveAttention(8, 6, 7)
    query, key, value = torch.randn(4, 8), torch.randn(5, 6), torch.randn(5, 3)
    context, weights = attention(query, key, value)
    found = {
        "`query_proj(query).unsqueeze(-2)`": attention.query_proj(query).unsqueeze(-2),
        "`key_proj(key).unsqueeze(-3)`": attention.key_proj(key).unsqueeze(-3),
        "`weights`": weights,
        "`context`": context,
    }
    pairs = {c.text: c.match for c in item_of("a1_after", "shapes-in-additive-attention").choices if c.text}
    assert pairs == {name: f"`{tuple(tensor.shape)}`" for name, tensor in found.items()}


# a2


@solves("a2_before", "two-steps-of-a-network")
def _(v):
    network = nn.RNN(1, 1, bias=False)
    network.load_state_dict({"weight_ih_l0": torch.tensor([[v.w]]), "weight_hh_l0": torch.tensor([[v.u]])})
    return network(torch.tensor([[v.x1], [v.x2]]))[0][-1].item()


def loss_of(a2, rows):
    """`translation_loss` where the right tokens have these probabilities, and pads fill up the rows."""
    length = max(map(len, rows))
    right = torch.tensor([row + [0.5] * (length - len(row)) for row in rows])
    targets = [[a2.BOS, *range(3, 2 + len(row)), a2.EOS] + [a2.PAD] * (length - len(row)) for row in rows]
    logits = ((1 - right) / 8).log().unsqueeze(-1).repeat(1, 1, 9)
    logits.scatter_(2, torch.tensor(targets)[:, 1:].unsqueeze(-1), right.log().unsqueeze(-1))
    return a2.translation_loss(logits, torch.tensor(targets)).item()


@solves("a2_before", "loss-of-a-sentence")
def _(v, a2):
    return loss_of(a2, [[v.p1, v.p2, v.p3, v.p4, v.p5]])


@solves("a2_before", "shape-of-the-states")
def _(v):
    words = torch.empty(v.B, 3, v.e, device="meta")  # three words, for each costs a step
    states, _ = nn.GRU(v.e, v.h, batch_first=True, device="meta")(words)
    return f"`{tuple(v.S if size == 3 and axis == 1 else size for axis, size in enumerate(states.shape))}`"


@solves("a2_after", "weights-of-the-encoder")
def _(v):
    return parameters(lambda: solution("a2").Encoder(v.V, v.e, v.h, v.n))


@solves("a2_after", "brightest-square")
def _(v, a2):
    """A decoder that knows the letters' places looks, after one, at the one before it, and at first at the last."""
    letters = v.letters.split()
    source = torch.tensor([[*range(3, 10), a2.EOS]])

    class Perfect:
        def encoder(self, source):
            return source, torch.zeros(1)

        def step(self, token, state, memory, mask):
            before = {a2.BOS: 6, a2.EOS: 7} | {letter: max(letter - 4, 0) for letter in range(3, 10)}
            return None, state, F.one_hot(torch.tensor([before[token.item()]]), 8).double()

    model = Perfect()
    model.decoder = model
    rows = a2.alignment(model, source, torch.tensor([[a2.BOS, *range(9, 2, -1), a2.EOS]]))
    return f"`{letters[rows[0, v.t].argmax()]}`"


@solves("a2_after", "loss-of-two-sentences")
def _(v, a2):
    return loss_of(a2, [[v.p1, v.p2, v.p3], [v.p4, v.p5]])


@solves("a2_after", "a-beam-of-two")
def _(v):
    def following(words):
        if not words:
            return {"A": v.a, "B": v.b, "C": v.c}
        best = {"A": v.after_a, "B": v.after_b, "C": v.after_c}[words[0]]
        return {"best": best} | {f"other {n}": (1 - best) / 20 for n in range(20)}

    beam = {(): 1.0}
    for _ in range(2):
        longer = {(*words, word): p * q for words, p in beam.items() for word, q in following(words).items()}
        beam = dict(sorted(longer.items(), key=lambda pair: -pair[1])[:2])
    return max(beam.values())


def test_rows_that_translate_returns():
    """All rows that a decoder can bring about which writes any words but pad and bos."""
    translator = solution("a2")
    words = torch.tensor(list(itertools.product([2, 4, 7, 8, 9], repeat=5)))

    class Scripted(nn.Module):
        def step(self, token, state, memory, mask):
            return F.one_hot(words[:, int(state[0])], 10).double(), state + 1, None

    def silent(source):
        return torch.zeros(*source.shape, 1), torch.zeros(len(source))

    model = translator.Seq2Seq(nn.Identity(), Scripted())
    model.encoder.forward = silent
    possible = {tuple(row) for row in model.translate(torch.full((len(words), 1), 5), 5).tolist()}
    for choice in item_of("a2_after", "rows-of-translate").choices:
        assert choice.right == (tuple(ast.literal_eval(choice.text.strip("`"))) in possible), choice.text


def test_pads_reach_the_backward_half():
    gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
    words = torch.randn(1, 7, 3)
    words[:, 3:] = torch.randn(3)  # one embedding for all pads
    few, many = gru(words[:, :5])[0][:, :3], gru(words)[0][:, :3]
    assert torch.allclose(few[..., :4], many[..., :4], atol=1e-6)
    assert ((few - many)[..., 4:].abs() > 1e-6).any(dim=-1).all()


# a3


@solves("a3_before", "clock-hand")
def _(v):
    tip = torch.polar(torch.ones(()), torch.tensor(v.start))
    for _ in range(v.steps):
        tip = tip * torch.polar(torch.ones(()), torch.tensor(v.turn))
    return tip.imag.item()


@solves("a3_before", "matrix-times-column")
def _(v):
    return (torch.tensor([[v.a, v.b], [v.c, v.d]]) @ torch.tensor([v.x, v.y]))[1].item()


@solves("a3_after", "entry-of-the-table")
def _(v, a3):
    return a3.sinusoidal_encoding(v.position + 1, v.d)[v.position, v.column].item()


@solves("a3_after", "two-rows-compared")
def _(v):
    table = solution("a3").sinusoidal_encoding(v.b + 1, 4)
    return (table[v.a] @ table[v.b]).item()


@solves("a3_after", "entry-of-the-shift")
def _(v):
    table = solution("a3").sinusoidal_encoding(v.k + 2, v.d)
    pair = table[:, 2 * (v.row // 2) : 2 * (v.row // 2) + 2]  # the block takes rows 0 and 1 to rows k and k + 1
    block = torch.linalg.solve(pair[:2], pair[v.k :]).T
    return block[v.row % 2, v.column % 2].item()


@solves("a3_after", "entry-of-the-shift, again")
def _(v, a3):
    return a3.shift_matrix(v.k, v.d)[v.row, v.column].item()


@solves("a3_after", "size-of-a-learnt-table")
def _(v):
    table = parameters(lambda: solution("a3").LearnedPositionalEmbedding(v.longest, v.d))
    return str(table)


def test_a_shuffled_word_gets_the_same():
    sentence, order = torch.randn(7, 5), torch.randperm(7)
    before = F.scaled_dot_product_attention(sentence, sentence, sentence)
    after = F.scaled_dot_product_attention(sentence[order], sentence[order], sentence[order])
    torch.testing.assert_close(after, before[order])


def test_what_a_bag_of_words_confuses():
    for choice in item_of("a3_before", "same-to-a-bag").choices:
        same = Counter(choice.text.strip("*").split()) == Counter("the dog bites the man".split())
        assert choice.right == same, choice.text


def test_the_fourth_digit():
    digits = [f"{number:06b}"[-4] for number in range(64)]
    lengths = {str(len(list(run))) for _, run in itertools.groupby(digits)}
    assert lengths == set(keys(item_of("a3_before", "the-fourth-digit")))


def test_counting_in_half_precision():
    assert keys(item_of("a3_before", "counting-in-half-precision")) == [f"{torch.tensor(2049.0).half().item():.0f}"]


def test_homes_of_a_tensor():
    """What is trained, saved and moved of a parameter, two buffers and an attribute."""
    module, t = nn.Module(), torch.zeros(2)
    module.p = nn.Parameter(t.clone())
    module.register_buffer("b", t.clone())
    module.register_buffer("n", t.clone(), persistent=False)
    module.a = t.clone()
    assert [name for name, _ in module.named_parameters()] == ["p"]
    assert sorted(module.state_dict()) == ["b", "p"]
    module.half()
    assert [getattr(module, name).dtype.itemsize for name in "pbna"] == [2, 2, 2, 4]


def test_the_length_of_a_row():
    table = solution("a3").sinusoidal_encoding(50, 512)
    (key,) = keys(item_of("a3_after", "length-of-a-row"))
    torch.testing.assert_close(table.norm(dim=1), torch.full((50,), float(key)))


def test_laws_of_the_table(double):
    table = solution("a3").sinusoidal_encoding(40, 16)
    torch.testing.assert_close(table.norm(dim=1), torch.full((40,), math.sqrt(8)))
    moving = torch.linalg.lstsq(table[:-3], table[3:]).solution
    torch.testing.assert_close(table[:-3] @ moving, table[3:], atol=1e-6, rtol=0)
    assert not torch.allclose(table[10], 2 * table[5], atol=0.1)
    assert table[0].sum() == 8


def test_a_frequency_upside_down():
    power = 10000.0 ** (torch.arange(0, 16, 2) / 16)
    angle = torch.arange(30).unsqueeze(1) * power
    wrong = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    right = solution("a3").sinusoidal_encoding(30, 16)
    assert torch.allclose(wrong[:, :2], right[:, :2], atol=1e-5)
    assert all((wrong - right)[:, 2 * i : 2 * i + 2].abs().max() > 0.5 for i in range(1, 8))


def test_a_saved_buffer_refuses_another_length():
    def keeps(length):
        module = nn.Module()
        module.register_buffer("table", torch.zeros(length, 4))
        return module

    with pytest.raises(RuntimeError, match="size mismatch"):
        keeps(256).load_state_dict(keeps(128).state_dict())


# a4


@solves("a4_before", "place-in-memory")
def _(v):
    return torch.arange(v.B * v.T * v.d).view(v.B, v.T, v.d)[v.b, v.t, v.c].item()


@solves("a4_before", "reshaped-matrix")
def _(v):
    return f"`{torch.tensor(ast.literal_eval(v.given)).reshape(3, 2).tolist()}`"


@solves("a4_before", "parameters-of-two-layers")
def _(v):
    return parameters(lambda: nn.Sequential(nn.Linear(v.a, v.b), nn.Linear(v.b, v.c)))


@solves("a4_after", "weights-of-all-heads")
def _(v):
    torchs = parameters(lambda: nn.MultiheadAttention(v.d, v.heads))
    assert torchs == parameters(lambda: solution("a4").MultiHeadAttention(v.d, v.heads))
    return torchs


@solves("a4_after", "where-a-number-goes")
def _(v, a4):
    x = torch.arange(v.B * v.T * v.d).view(v.B, v.T, v.d)
    (place,) = (a4.split_heads(x, v.heads) == x[v.b, v.t, v.c]).nonzero().tolist()
    return f"`y[{', '.join(map(str, place))}]`"


@solves("a4_after", "a-weight-in-one-head")
def _(v, a4):
    attention = a4.MultiHeadAttention(v.d, v.heads)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.data, projection.bias.data = torch.eye(v.d), torch.zeros(v.d)
    query, keys = torch.zeros(1, 1, v.d), torch.zeros(1, 2, v.d)
    query[..., 0], keys[..., 0] = 1, torch.tensor([v.p1, v.p2])
    return attention(query, keys, keys)[1][0, 0, 0, 0].item()


@solves("a4_after", "the-simplest-answer")
def _(v):
    is_creature = torch.zeros(v.creatures, v.places, v.of_creatures + v.of_places, dtype=torch.bool)
    is_creature[..., : v.of_creatures] = True
    return is_creature.sum().item() / is_creature.numel()


@solves("a4_after", "pairs-that-may-meet")
def _(v, a4):
    tokens = (torch.arange(v.n) < torch.tensor([[v.r1], [v.r2]])).long()
    mask = a4.causal_mask(v.n) & a4.padding_mask(tokens, 0)
    return mask.expand(2, v.heads, v.n, v.n).sum().item()


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_that_fit(seed):
    item, v = filled("a4_after", "masks-that-fit", seed)
    assert len({v.B, v.h, v.L, v.S, 1}) == 5
    for choice in item.choices:
        assert choice.right == fits(ast.literal_eval(choice.text.strip("`")), (v.B, v.h, v.L, v.S)), choice.text


def test_an_average_of_two():
    context = torch.tensor([0.5, 0.5]) @ torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert context.tolist() == [1, 1] and keys(item_of("a4_before", "what-an-average-hides"))[0].endswith("$(1, 1)$")


def test_rows_of_a_linear():
    layer = nn.Linear(8, 6)
    layer(torch.randn(8))[2].backward()
    assert layer.weight.grad.ne(0).any(dim=1).tolist() == [False, False, True, False, False, False]


def test_a_view_after_a_transpose():
    x = torch.randn(2, 3, 4, 5).transpose(1, 2)
    assert x.reshape(2, 4, 15).shape == (2, 4, 15)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        x.view(2, 4, 15)


def test_the_lower_triangle():
    (name,) = keys(item_of("a4_before", "the-lower-triangle"))
    triangle = getattr(torch.ones(4, 4), name)()
    assert all(triangle[i, j] == (j <= i) for i in range(4) for j in range(4))


def test_a_triangle_of_truth():
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    assert all(mask[i, j] == (j > i) for i in range(5) for j in range(5)) and not mask[4].any()


def test_the_riddle():
    attention = solution("a4").MultiHeadAttention(12, 3).double()
    text = torch.randn(2, 5, 12, dtype=torch.float64)
    attention(text, text, text)[0].square().sum().backward()
    idle = [name for name, parameter in attention.named_parameters() if parameter.grad.abs().max() < 1e-12]
    assert keys(item_of("a4_after", "the-riddle")) == idle


# all of them


def test_every_drawn_item_is_computed_twice():
    drawn = {(name, item.id) for name in QUIZZES for item in bank_of(name).items if item.draw}
    assert drawn - set(SOLVERS) == {("a4_after", "masks-that-fit")}, "and that one has a test of its own"


def computed(name, id, values, mistake=""):
    solve = SOLVERS[name, id]
    if solve.__code__.co_argcount == 1:
        return None if mistake else solve(values)
    return solve(values, mistaken(name[:2], mistake) if mistake else solution(name[:2]))


@pytest.mark.parametrize(("name", "id"), SOLVERS, ids=lambda part: part)
def test_a_drawn_key(name, id, double):
    """The key agrees with the second computation, and stays clear of every foreseen wrong answer."""
    torch.manual_seed(1)
    for seed in SEEDS:
        item, values = filled(name, id.partition(",")[0], seed)
        (key,) = [choice for choice in item.choices if choice.right]
        expected = computed(name, id, values)
        if item.kind is not Kind.NUMERIC:
            assert key.text == expected, f"seed {seed}: the key is {key.text}, computed again it is {expected}"
            continue
        wrong = [float(choice.text) for choice in item.choices if not choice.right]
        assert abs(float(key.text) - expected) <= 0.6 * key.tolerance, f"seed {seed}: {key.text}, again {expected}"
        assert all(abs(other - float(key.text)) > 1.5 * key.tolerance for other in wrong), f"seed {seed}: {wrong}"


MISTAKES = sorted(
    {
        (name, item.id, choice.mistake)
        for name in QUIZZES
        for item in bank_of(name).items
        for choice in item.choices
        if item.draw and item.kind is not Kind.MULTIPLE and choice.mistake
    }
)


@pytest.mark.parametrize(
    ("name", "id", "mistake"), [each for each in MISTAKES if each[:2] not in UNMEASURED], ids=lambda part: part
)
def test_a_foreseen_mistake(name, id, mistake, double):
    """The solution with the named mistake comes to the choice that names it."""
    solver = f"{id}, again" if (name, f"{id}, again") in SOLVERS else id
    for seed in range(5):
        item, values = filled(name, id, seed)
        (choice,) = [choice for choice in item.choices if choice.mistake == mistake]
        found = computed(name, solver, values, mistake)
        assert found is not None, "this item's second computation does not run the solution"
        if item.kind is Kind.NUMERIC:
            assert abs(float(choice.text) - found) <= max(0.6 * choice.tolerance, 1e-6), f"{choice.text}, found {found}"
        else:
            assert choice.text == found


@pytest.mark.parametrize("name", QUIZZES)
def test_hebrew_gets_the_same_numbers(name):
    quizzes = [bank_of(name, language) for language in ("en", "he")]
    draws = draw.draws(ROOT, name)
    for seed in SEEDS:
        english, hebrew = (draw.fill(quiz, draws, seed, quizzes[0]) for quiz in quizzes)
        for one, other in zip(english.items, hebrew.items, strict=True):
            if one.kind is Kind.NUMERIC:
                assert [c.text for c in one.choices] == [c.text for c in other.choices], one.id
