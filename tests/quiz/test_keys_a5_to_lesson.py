"""Every key that is a number, and every drawn one, worked out a second time, from what the student reads."""

import importlib.util
import math
import re
from functools import cache
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autograder.quiz import bank, draw
from autograder.quiz.records import Kind

ROOT = Path(__file__).parents[2]
NAMES = [f"{name}_{when}" for name in ("a5", "a6", "a7", "lesson") for when in ("before", "after")]
SEEDS = range(20)


@cache
def quiz(name, language="en"):
    return bank.load(ROOT, name, language)


@cache
def draws(name):
    return draw.draws(ROOT, name)


@cache
def solution(name):
    """The reference of an assignment, as a module."""
    path = ROOT / "solutions" / name / "solution.py"
    spec = importlib.util.spec_from_file_location(f"reference_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(name, id_, seed, language="en"):
    """The item as it stands in the bank, and as one student gets it."""
    place = [item.id for item in quiz(name).items].index(id_)
    filled = draw.fill(quiz(name, language), draws(name), seed, quiz(name))
    return quiz(name, language).items[place], filled.items[place]


def numbers(template, text):
    """What the student reads where the template has `{{name}}`, by name."""
    names = [match[1] for match in bank.VALUE.finditer(template)]
    fixed = [re.escape(part) for part in bank.VALUE.split(template)[:: bank.VALUE.groups + 1]]
    found = re.fullmatch("(.+?)".join(fixed), text, re.DOTALL)
    return {name: plain(value) for name, value in zip(names, found.groups(), strict=True)}


def plain(text):
    return (
        float(text)
        if re.fullmatch(r"-?\d+(\.\d+)?", text) and "." in text
        else int(text)
        if text.lstrip("-").isdigit()
        else text
    )


def size(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


# Each function takes what the student reads, by name, and gives the answer by another route than `draws.py`.


def layer_norm(x):
    word = torch.tensor([x["a"], x["b"], x["c"], x["d"]], dtype=torch.float64)
    return F.layer_norm(word, (4,), eps=0)[word.tolist().index(x["asked"])].item()


def hidden_cells(x):
    one = (~torch.ones(x["length"], x["length"], dtype=torch.bool).tril()).sum().item()
    return one * x["batch"] * x["layers"] * x["heads"]


def feed_forward_parameters(x):
    with torch.device("meta"):
        one = solution("a5_transformer").FeedForward(x["width"], x["hidden"])
    return size(one) * x["layers"]


def shape_of_the_weights(x):
    with torch.device("meta"):
        attention = nn.MultiheadAttention(x["width"], x["heads"], batch_first=True)
        query = torch.empty(x["batch"], x["target"], x["width"])
        memory = torch.empty(x["batch"], x["source"], x["width"])
    weights = attention(query, memory, memory, average_attn_weights=False)[1]
    return f"`{tuple(weights.shape)}`"


def layer_of_the_paper(x):
    with torch.device("meta"):
        return size(nn.TransformerEncoderLayer(512, 8, 2048))


def outside_the_layers(x):
    with torch.device("meta"):
        model = solution("a5_transformer").Transformer(x["source"], x["target"], x["width"], 1, 1, 1)
    return size(model) - size(model.encoder, model.decoder)


def open_cells(x):
    lengths = torch.tensor([x["a"], x["b"], x["c"], x["d"]])
    real = torch.arange(x["columns"]) < lengths[:, None]
    causal = torch.ones(x["columns"], x["columns"], dtype=torch.bool).tril()
    return (causal & real[:, None, :]).sum().item()


def beam_score(x):
    return torch.tensor([x[name] for name in ("p", "q", "r", "s", "end")], dtype=torch.float64).log().mean().item()


def label_smoothing(x):
    words, p = x["words"], x["p"]
    logits = torch.tensor([p] + [(1 - p) / (words - 1)] * (words - 1), dtype=torch.float64).log()
    return F.cross_entropy(logits[None], torch.tensor([0]), label_smoothing=x["epsilon"]).item()


def surprise(x):
    logits = torch.tensor([[x["a"], x["b"], x["c"], x["d"]]], dtype=torch.float64)
    return F.cross_entropy(logits, torch.tensor([0])).item()


def blind_guess(x):
    return F.cross_entropy(torch.zeros(1, 30522, dtype=torch.float64), torch.tensor([7])).item()


def perplexity(x):
    bits = [-math.log2(x[name]) for name in "pqrs"]
    return 2 ** (sum(bits) / 4)


def expected_masks(x):
    chance = torch.full((x["rows"], x["columns"]), 0.12, dtype=torch.float64)
    chance[:, 0] = 0
    pads = torch.arange(x["rows"] * (x["columns"] - 1)).view(x["rows"], -1) < x["pads"]
    return chance[:, 1:].masked_fill(pads, 0).sum().item()


def showing_themselves(x):
    words = x["vocabulary"]
    shows = torch.full((words, words), 0.1 / words, dtype=torch.float64) + 0.1 * torch.eye(words)
    assert torch.allclose(shows.sum(dim=1), torch.tensor(0.2, dtype=torch.float64))  # the other 0.8 show [MASK]
    return shows.diagonal().mean().item() * x["words"] * x["percent"] / 100


def loss_by_hand(x):
    logits = torch.zeros(2, 8, 2, dtype=torch.float64)
    labels = torch.full((2, 8), -100)
    for row, place, name in ((0, 5, "p"), (1, 1, "q"), (1, 2, "r"), (1, 7, "s")):
        logits[row, place] = torch.tensor([x[name], 1 - x[name]], dtype=torch.float64).log()
        labels[row, place] = 0
    return solution("a6_masked_lm").mlm_loss(logits, labels).item()


def bayes_of_two_words(x):
    first = torch.tensor([x["start"], 1 - x["start"]], dtype=torch.float64)
    second = torch.tensor([[x["after_a"], 1 - x["after_a"]], [1 - x["after_b"], x["after_b"]]], dtype=torch.float64)
    both = first[:, None] * second
    return (torch.special.entr(both).sum() - torch.special.entr(first).sum()).item()  # H(both) - H(first)


def parameters_of_your_bert(x):
    with torch.device("meta"):
        return size(
            solution("a6_masked_lm").BertEncoder(
                x["vocabulary"], x["width"], 1, x["layers"], x["hidden"], max_length=x["positions"]
            )
        )


def rate_of_the_first_transformer(x):
    peak = 1 / math.sqrt(x["width"] * x["warmup"])
    along = x["step"] / x["warmup"]
    return peak * (along if along < 1 else 1 / math.sqrt(along))


def number_of_steps(x):
    return len(torch.utils.data.DataLoader(range(x["texts"]), batch_size=x["size"])) * x["epochs"]


def chance_in_a_test_set(x):
    hits = (torch.arange(x["texts"]) < x["correct"]).double()
    return 100 * (hits.var(unbiased=False) / x["texts"]).sqrt().item()


def a_small_network(x):
    units = torch.tensor([x["x"], x["y"]], dtype=torch.float64)
    return F.gelu(units).dot(torch.tensor([x["u"], x["v"]], dtype=torch.float64)).item()


def pool_by_hand(x):
    hidden = torch.tensor([float(each) for each in x["hidden"].split(", ")], dtype=torch.float64)
    mask = torch.tensor([each == "True" for each in x["mask"].split(", ")])
    return solution("a7_fine_tuning").mean_pool(hidden[None, :, None], mask[None]).item()


def rate_of_a_step(x):
    return numpy.interp(x["step"], [0, x["warmup"], x["total"]], [0, x["peak"], 0])


def never_left_the_warm_up(x):
    total = x["texts"] * x["epochs"]
    made = range(1, 1 + x["epochs"] * len(torch.zeros(x["texts"]).split(x["size"])))
    rate = solution("a7_fine_tuning").warmup_lr
    return max(rate(step, 1.0, total * x["percent"] // 100, total) for step in made)


def accuracy_of_batches(x):
    full, last = torch.arange(x["full"] * x["size"]) < x["in_full"], torch.arange(x["last"]) < x["in_last"]
    return torch.cat([full, last]).double().mean().item()


def ten_before_two(x):
    names = sorted(f"encoder.layer.{number}.output.dense.weight" for number in range(12))
    return int(names[2].split(".")[2])


def weighted_sum(x):
    weights = torch.tensor([x["p"], x["q"], x["r"]], dtype=torch.float64)
    return weights.dot(torch.tensor([x["a"], x["b"], x["c"]], dtype=torch.float64)).item()


def scores_grow(x):
    unit = torch.eye(x["width"], dtype=torch.float64)
    return (x["s"] ** 2 * unit @ (x["t"] ** 2 * unit)).trace().sqrt().item()  # Var(q·k) = tr(cov q · cov k)


def the_small_transformer(x):
    with torch.device("meta"):
        tables = nn.Embedding(20_000, 32), nn.Embedding(256, 32)
        attention = *(nn.Linear(32, 2 * 32) for _ in range(3)), nn.Linear(2 * 32, 32)
        rest = nn.Linear(32, 32), nn.Linear(32, 32), nn.LayerNorm(32), nn.LayerNorm(32)
        classifier = nn.Linear(32, 20), nn.Linear(20, 4)
    assert (size(*tables), size(*attention, *rest)) == (648_192, 10_656)
    return size(*tables, *attention, *rest, *classifier)


def two_keys(x):
    query, keys = torch.zeros(1, x["width"], dtype=torch.float64), torch.zeros(2, x["width"], dtype=torch.float64)
    query[0, 0], keys[0, 0], keys[1, 0] = 1, x["first"], x["second"]
    return F.scaled_dot_product_attention(query, keys, torch.eye(2, dtype=torch.float64))[0, 0].item()


def how_good_is_a_translation(x):
    precisions = torch.tensor([x["p1"], x["p2"], x["p3"], x["p4"]], dtype=torch.float64) / 100
    return 100 * (precisions.log().mean() + 1 - x["reference"] / x["words"]).exp().item()


def never_warm(x):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / (0.1 * 3 * 120_000)))
    rates = []
    for _ in torch.zeros(120_000).split(128):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    return max(rates)


SECOND = {
    "a5_before": [layer_norm, hidden_cells, feed_forward_parameters, shape_of_the_weights],
    "a5_after": [layer_of_the_paper, outside_the_layers, open_cells, beam_score, label_smoothing],
    "a6_before": [surprise, blind_guess, perplexity, expected_masks],
    "a6_after": [showing_themselves, loss_by_hand, bayes_of_two_words, parameters_of_your_bert],
    "a7_before": [rate_of_the_first_transformer, number_of_steps, chance_in_a_test_set, a_small_network],
    "a7_after": [pool_by_hand, rate_of_a_step, never_left_the_warm_up, accuracy_of_batches, ten_before_two],
    "lesson_before": [weighted_sum, scores_grow],
    "lesson_after": [the_small_transformer, two_keys, how_good_is_a_translation, never_warm],
}
PAIRS = [(name, second) for name, seconds in SECOND.items() for second in seconds]


def id_of(second):
    return second.__name__.replace("_", "-")


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_worked_out_twice(name):
    """Each numeric and each drawn item has a second computation here."""
    expected = {item.id for item in quiz(name).items if item.kind is Kind.NUMERIC or item.draw}
    assert {id_of(second) for second in SECOND[name]} == expected


@pytest.mark.parametrize(("name", "second"), PAIRS, ids=lambda each: getattr(each, "__name__", each))
def test_the_key_is_what_a_second_computation_gives(name, second):
    """The right choice, and no other, agrees with the second computation."""
    for seed in SEEDS if drawn(name, id_of(second), 0)[0].draw else SEEDS[:1]:
        template, item = drawn(name, id_of(second), seed)
        answer = second(numbers(template.text, item.text))
        (key,) = (choice for choice in item.choices if choice.right)
        others = [choice for choice in item.choices if not choice.right]
        if isinstance(answer, str):
            assert key.text == answer
        elif item.kind is Kind.SINGLE:
            assert key.text == f"{answer:.3f}"
            assert all(abs(float(other.text) - answer) > 0.004 for other in others)
        else:
            assert within(key, answer, share=0.25), f"{key.text} ± {key.tolerance} should be {answer}"
            assert not any(within(other, answer, share=1.5) for other in others)


def within(choice, answer, share):
    """Whether an answer lies within this share of a choice's tolerance; of an exact number nothing but itself does."""
    value = bank.number(choice.text)
    around = choice.tolerance * (abs(value) if choice.relative else 1)
    return abs(answer - value) <= share * around + 1e-12 * abs(value)


@pytest.mark.parametrize("name", NAMES)
def test_foreseen_answers_are_told_apart(name):
    """No number lies within the tolerance of two choices of its item, whatever was drawn."""
    for seed in SEEDS:
        for item in draw.fill(quiz(name), draws(name), seed).items:
            if item.kind is Kind.NUMERIC:
                for choice in item.choices:
                    takers = [other for other in item.choices if within(other, bank.number(choice.text), share=1)]
                    assert takers == [choice], f"{item.id}, seed {seed}: {choice.text} is taken by {takers}"


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_ask_for_the_same(name):
    """The Hebrew sheet has the numbers of the English one, and its keys."""
    for seed in SEEDS[:3]:
        english = draw.fill(quiz(name), draws(name), seed)
        hebrew = draw.fill(quiz(name, "he"), draws(name), seed, quiz(name))
        for one, other in zip(english.items, hebrew.items, strict=True):
            assert (one.id, one.kind) == (other.id, other.kind)
            assert [choice.right for choice in one.choices] == [choice.right for choice in other.choices]
            if one.draw:
                in_english = numbers(quiz(name).items[english.items.index(one)].text, one.text)
                in_hebrew = numbers(quiz(name, "he").items[hebrew.items.index(other)].text, other.text)
                assert in_english == in_hebrew


@pytest.mark.parametrize("name", NAMES)
def test_no_two_students_share_their_numbers(name):
    """A thousand seeds give a thousand different questions."""
    for item in (item for item in quiz(name).items if item.draw):
        function = getattr(draws(name), item.draw)
        seen = {tuple(function(draw.Random(f"{seed}/{item.id}")).items()) for seed in range(1000)}
        assert len(seen) == 1000, f"{item.id}: {1000 - len(seen)} of 1000 were drawn before"
