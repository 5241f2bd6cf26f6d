"""The public tests of 'Fine-tuning': run `pytest` in this folder."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from a7_fine_tuning import (
    Classifier,
    PAD,
    TOPICS,
    WordVotes,
    evaluate,
    fine_tune,
    load_bert,
    mean_pool,
    small_encoder,
    warmup_lr,
)


def a_config(**changes):
    """A small config, as HuggingFace writes it."""
    sizes = {"vocab_size": 11, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 7, "max_position_embeddings": 9, "type_vocab_size": 3}
    rest = {"layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "hidden_act": "gelu", "model_type": "bert"}
    return {**sizes, **rest, **changes}


def a_file(config, fill=torch.randn):
    """A state dict with the names and shapes of HuggingFace, each tensor made by `fill`."""
    d, h = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings": [(config["vocab_size"], d)],
        "embeddings.position_embeddings": [(config["max_position_embeddings"], d)],
        "embeddings.token_type_embeddings": [(config["type_vocab_size"], d)],
        "embeddings.LayerNorm": [(d,), (d,)],
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{part}"] = [(d, d), (d,)]
        shapes[f"{layer}.attention.output.LayerNorm"] = [(d,), (d,)]
        shapes[f"{layer}.intermediate.dense"] = [(h, d), (h,)]
        shapes[f"{layer}.output.dense"] = [(d, h), (d,)]
        shapes[f"{layer}.output.LayerNorm"] = [(d,), (d,)]
    return {
        f"{name}.{kind}": fill(*shape)
        for name, two in shapes.items()
        for kind, shape in zip(("weight", "bias"), two)
    }


def test_an_encoder_comes_back():
    """An Encoder of the sizes in the config comes back."""
    config = a_config()
    encoder = load_bert(a_file(config), config)
    assert isinstance(encoder, nn.Module), f"expected an Encoder, got {type(encoder).__name__}"
    hidden = encoder(torch.randint(11, (3, 5)))
    assert hidden.shape == (3, 5, 4), f"3 texts of 5 tokens should give (3, 5, 4), not {tuple(hidden.shape)}"
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert count == 426, f"an encoder with this config has 426 parameters, yours has {count}"


def test_nothing_but_the_embeddings():
    """With all layers at zero, the hidden states are the normalised sum of word, position and segment."""
    config = a_config()
    file = a_file(config, torch.zeros)
    for name in file:
        if name.endswith("LayerNorm.weight"):
            file[name] = torch.ones(4)
    file["embeddings.word_embeddings.weight"][5] = torch.tensor([1.0, -1.0, 0.0, 0.0])
    file["embeddings.position_embeddings.weight"][1] = torch.tensor([0.0, 0.0, 2.0, -2.0])
    file["embeddings.token_type_embeddings.weight"][2] = torch.tensor([3.0, 0.0, 0.0, -3.0])
    encoder = load_bert(file, config).eval()
    hidden = encoder(torch.tensor([[0, 5]]), None, torch.tensor([[0, 2]]))[0, 1]
    expected = F.layer_norm(torch.tensor([4.0, -1.0, 2.0, -5.0]), (4,))
    assert torch.allclose(hidden, expected, atol=1e-4), (
        "word [1, -1, 0, 0], position [0, 0, 2, -2] and segment [3, 0, 0, -3] should be added and normalised, "
        f"which gives {[round(x, 3) for x in expected.tolist()]}, not {[round(x, 3) for x in hidden.tolist()]}"
    )


def test_queries_keys_and_values():
    """Queries, keys and values lie one below the other, in this order."""
    config = a_config()
    file = a_file(config)
    weights = load_bert(file, config).state_dict()
    stacked = weights.get("layers.1.self_attn.in_proj_weight")
    if stacked is not None:  # an encoder of your own may store them otherwise
        for part, rows in zip(("query", "key", "value"), stacked.chunk(3)):
            there = f"encoder.layer.1.attention.self.{part}.weight"
            assert torch.equal(rows, file[there]), f"`{there}` is not where PyTorch's layer looks for it"


def test_files_differ():
    """Additional entries are passed over; a prefix and the old names make no difference."""
    config = a_config()
    file = a_file(config)
    tokens = torch.randint(11, (3, 5))
    expected = load_bert(file, config).eval()(tokens)
    more = {**file, "pooler.dense.weight": torch.randn(4, 4), "embeddings.position_ids": torch.arange(9)[None]}
    prefixed = {f"bert.{name}": tensor for name, tensor in file.items()}
    prefixed["cls.predictions.bias"] = torch.randn(11)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in file.items()
    }
    for what, other in (("additional entries", more), ("the prefix", prefixed), ("the old names", old)):
        hidden = load_bert(other, config).eval()(tokens)
        assert torch.allclose(hidden, expected, atol=1e-5), f"with {what}, the same weights give other hidden states"


def test_a_missing_weight():
    """If a weight is missing, an error is raised."""
    config = a_config()
    file = a_file(config)
    del file["encoder.layer.1.output.dense.weight"]
    try:
        load_bert(file, config)
    except NotImplementedError:
        raise
    except Exception:
        return
    raise AssertionError("the file lacks `encoder.layer.1.output.dense.weight`, and nobody noticed")


def test_a_mean_by_hand():
    """Two real tokens out of three: the mean of the two."""
    hidden = torch.tensor([[[1.0, 10.0], [3.0, 30.0], [500.0, 500.0]]])
    pooled = mean_pool(hidden, torch.tensor([[True, True, False]]))
    assert pooled.shape == (1, 2), f"hidden states of shape (1, 3, 2) give one vector, (1, 2), not {tuple(pooled.shape)}"
    assert torch.allclose(pooled, torch.tensor([[2.0, 20.0]])), (
        f"the mean of [1, 10] and [3, 30] is [2, 20]; yours is {pooled[0].tolist()}"
    )


def test_each_text_has_its_own_length():
    """Each text is divided by the number of its own real tokens, wherever they stand."""
    hidden = torch.ones(3, 4, 5)
    mask = torch.tensor([[True, False, False, False], [True, True, True, True], [False, True, False, True]])
    pooled = mean_pool(hidden, mask)
    assert torch.allclose(pooled, torch.ones(3, 5)), (
        f"the mean of ones is one, for every text; yours are {[round(x, 3) for x in pooled[:, 0].tolist()]}"
    )


def test_padding_takes_no_part():
    """Padding has no influence and no gradient."""
    hidden, mask = torch.randn(2, 4, 3), torch.tensor([[True, True, False, False], [True, True, True, False]])
    other = torch.where(mask[..., None], hidden, 100.0).requires_grad_()
    pooled = mean_pool(other, mask)
    assert torch.allclose(pooled, mean_pool(hidden, mask), atol=1e-5), "other numbers at padding changed the mean"
    pooled.sum().backward()
    assert (other.grad[~mask] == 0).all(), "there is a gradient at padding"
    assert (other.grad[mask] != 0).all(), "there is no gradient at a real token"


def test_no_real_token():
    """A text without real tokens gets zeros, and brings no NaN into the gradient."""
    hidden = torch.randn(2, 3, 4, requires_grad=True)
    pooled = mean_pool(hidden, torch.tensor([[False, False, False], [True, False, True]]))
    assert (pooled[0] == 0).all(), f"a text without real tokens should get zeros, not {pooled[0].tolist()}"
    pooled.sum().backward()
    assert not hidden.grad.isnan().any(), "the result is fine, but its gradient holds NaN"


def test_the_dtype_stays():
    """float16 in, float16 out; float64 in, float64 out."""
    for dtype in (torch.float16, torch.float64):
        got = mean_pool(torch.ones(1, 2, 3, dtype=dtype), torch.tensor([[True, False]])).dtype
        assert got == dtype, f"hidden states of {dtype} gave a mean of {got}"


def a_batch(count=5):
    """Random texts of our language, without the [CLS] and the grammar: tokens, mask and labels."""
    tokens, mask = torch.randint(3, 99, (count, 7)), torch.arange(7) < torch.randint(2, 8, (count, 1))
    return tokens.masked_fill(~mask, PAD), mask, torch.randint(TOPICS, (count,))


def test_logits_for_each_text():
    """The logits are the head's answer to the mean of the hidden states."""
    torch.manual_seed(0)
    model = Classifier(small_encoder(), TOPICS).eval()
    tokens, mask, _ = a_batch()
    logits = model(tokens, mask)
    assert logits.shape == (5, 3), f"5 texts and 3 classes give logits of shape (5, 3), not {tuple(logits.shape)}"
    hidden = model.encoder(tokens, mask)
    means = torch.stack([states[real].mean(dim=0) for states, real in zip(hidden, mask)])
    expected = means @ model.head.weight.T + model.head.bias
    assert torch.allclose(logits, expected, atol=1e-4), "the logits are not the head applied to the mean"


def test_more_padding_changes_nothing():
    """Padding that is added to a text, or what stands in it, changes no logit."""
    torch.manual_seed(0)
    model = Classifier(small_encoder(), TOPICS).eval()
    tokens, mask, _ = a_batch()
    logits = model(tokens, mask)
    longer, wider = F.pad(tokens, (0, 3), value=50), F.pad(mask, (0, 3), value=False)
    assert torch.allclose(model(longer, wider), logits, atol=1e-4), (
        "three padded places were added, and the logits changed: who of encoder and pooling does not get the mask?"
    )


def test_everything_learns():
    """Full fine-tuning: a gradient arrives in the head and all the way down in the embeddings."""
    torch.manual_seed(0)
    model = Classifier(small_encoder(), TOPICS)
    tokens, mask, labels = a_batch()
    F.cross_entropy(model(tokens, mask), labels).backward()
    for name in ("head.weight", "encoder.word.weight", "encoder.layers.0.linear1.weight"):
        gradient = model.get_parameter(name).grad
        assert gradient is not None and (gradient != 0).any(), f"no gradient arrives at {name}"


def test_frozen_is_frozen():
    """Frozen: no parameter of the encoder requires a gradient, those of the head do."""
    model = Classifier(small_encoder(), TOPICS, frozen=True)
    model(torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
    asking = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert asking == {"head.weight", "head.bias"}, f"only the head should require gradients, but these do: {asking}"


def test_frozen_has_no_dropout():
    """Frozen: the encoder is in evaluation mode from the start, and stays there when training mode is switched on."""
    model = Classifier(small_encoder(), TOPICS, frozen=True)
    model(torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
    assert not model.encoder.training, "a new frozen classifier has its encoder in training mode"
    for _ in range(2):
        model.train()
        assert model.training and model.head.training, "after `train()` the classifier itself should be in training mode"
        assert not model.encoder.training, "`train()` has switched the frozen encoder to training mode"
        assert not any(part.training for part in model.encoder.modules()), "a part of the encoder is in training mode"
        model.eval()
        assert not model.training, "after `eval()` the classifier should be in evaluation mode"
    assert model.train() is model, "`train` should return the model, as it does in PyTorch"
    thawed = Classifier(small_encoder(), TOPICS)
    assert thawed.eval().train().encoder.training, "an encoder that is not frozen should follow `train()`"


def test_up_to_the_peak():
    """It grows in equal steps, and reaches the peak at the end of the warm-up."""
    rates = [warmup_lr(step, 1e-3, 4, 20) for step in (1, 2, 3, 4)]
    expected = [0.25e-3, 0.5e-3, 0.75e-3, 1e-3]
    assert all(abs(a - b) < 1e-9 for a, b in zip(rates, expected)), f"expected {expected}, got {rates}"


def test_down_to_zero():
    """It shrinks in equal steps, and reaches zero at the last one."""
    rates = [warmup_lr(step, 1e-3, 4, 20) for step in (8, 12, 16, 20)]
    expected = [0.75e-3, 0.5e-3, 0.25e-3, 0.0]
    assert all(abs(a - b) < 1e-9 for a, b in zip(rates, expected)), f"expected {expected}, got {rates}"
    assert warmup_lr(21, 1e-3, 4, 20) == 0, f"after the last step it stays at 0, not {warmup_lr(21, 1e-3, 4, 20)}"


def test_every_rate_is_a_rate():
    """No rate is negative or above the peak."""
    rates = [warmup_lr(step, 0.1, 3, 10) for step in range(1, 15)]
    assert min(rates) >= 0, f"the rate of step {1 + rates.index(min(rates))} is negative: {min(rates)}"
    assert max(rates) <= 0.1 + 1e-9, f"the rate of step {1 + rates.index(max(rates))} is above the peak: {max(rates)}"


def test_losses_come_back():
    """One loss for each batch comes back, as plain numbers; the first is that of the untrained model."""
    losses = fine_tune(WordVotes(99, TOPICS), [a_batch() for _ in range(4)], peak=0.1, warmup=2)
    assert isinstance(losses, list) and len(losses) == 4, f"4 batches should give a list of 4 losses, not {losses}"
    kinds = {type(loss).__name__ for loss in losses}
    assert kinds == {"float"}, f"the losses should be of type float, not {kinds}: see `item()`"
    assert abs(losses[0] - math.log(3)) < 1e-4, (
        f"at the start all votes are zero, so the loss is log 3 = 1.099; your first loss is {losses[0]:.3f}"
    )


def test_one_batch_by_heart():
    """What it sees again and again, it learns."""
    torch.manual_seed(0)
    tokens, mask = torch.arange(3, 18).reshape(5, 3), torch.ones(5, 3, dtype=torch.bool)  # no word occurs twice
    labels = torch.tensor([0, 1, 2, 1, 0])
    losses = fine_tune(WordVotes(99, TOPICS), [(tokens, mask, labels)] * 60, peak=0.2, warmup=6)
    assert losses[-1] < 0.1, f"after 60 steps on the same 5 texts the loss is still {losses[-1]:.2f}"


def test_the_learning_rate_is_kept():
    """In a step, no weight moves further than the learning rate allows, and the last step has none."""
    model = WordVotes(99, TOPICS)
    batch = a_batch()
    fine_tune(model, [batch, batch], peak=0.01, warmup=1)
    furthest = model.votes.weight.abs().max().item()
    assert furthest > 0.005, "no weight has moved: is there a step of the optimizer?"
    assert furthest < 0.0101, (
        f"two steps with the learning rates 0.01 and 0 have moved a weight by {furthest:.4f}: at which rates were they made?"
    )


def test_training_mode():
    """Dropout is active while the model learns, even if it was in evaluation mode before."""

    class Watched(WordVotes):
        def forward(self, tokens, mask):
            seen.append(self.training)
            return super().forward(tokens, mask)

    seen = []
    fine_tune(Watched(99, TOPICS).eval(), [a_batch(), a_batch()], peak=0.01, warmup=1)
    assert seen, "the model was never asked"
    assert all(seen), "the model was in evaluation mode while it learned"


def test_frozen_weights_stay():
    """A frozen encoder is, to the last bit, the same after training as before."""
    torch.manual_seed(0)
    model = Classifier(small_encoder(), TOPICS, frozen=True)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    fine_tune(model, [a_batch() for _ in range(3)], peak=0.01, warmup=1)
    moved = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert moved == {"head.weight", "head.bias"}, f"only the head should change, but these did: {sorted(moved)}"


class Known(nn.Module):
    """For the tests: the answer is the first token. Notes how it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, tokens, mask):
        self.asked.append((self.training, torch.is_grad_enabled(), len(tokens), mask.clone()))
        return F.one_hot(tokens[:, 0], 3).float()


def known_texts(count, right):
    """`count` texts, of which Known gets the first `right` right."""
    tokens = torch.randint(3, (count, 5))
    labels = torch.where(torch.arange(count) < right, tokens[:, 0], (tokens[:, 0] + 1) % 3)
    return tokens, torch.arange(5) < torch.randint(1, 6, (count, 1)), labels


def test_every_text_counts():
    """All texts count, those of the last, smaller batch too, and all count the same."""
    for count, right in ((10, 10), (10, 8), (9, 0), (8, 4), (3, 2), (1, 1)):
        got = evaluate(Known(), *known_texts(count, right), batch_size=4)
        assert isinstance(got, float), f"expected a float, got {type(got).__name__}"
        assert abs(got - right / count) < 1e-6, (
            f"{right} of {count} answers are right, in batches of 4 texts: {right / count:.3f}, not {got:.3f}"
        )


def test_as_it_should_be_asked():
    """The model is asked in evaluation mode, without a graph, with the mask, and for no more texts than allowed."""
    model = Known()
    tokens, mask, labels = known_texts(10, 7)
    evaluate(model, tokens, mask, labels, batch_size=4)
    training, graph, sizes, masks = zip(*model.asked)
    assert not any(training), "the model was in training mode, so dropout was active"
    assert not any(graph), "a graph was built for backward: see `torch.no_grad`"
    assert max(sizes) <= 4, f"the batch size is 4, but the model got {max(sizes)} texts at once"
    seen, real = (sorted(int(row.sum()) for rows in given for row in rows) for given in (masks, [mask]))
    assert seen == real, "the model did not get the mask, or not all of it, or twice"


def test_the_mode_is_put_back():
    """Afterwards the model is in the mode in which it was before."""
    for mode in (True, False):
        model = Known().train(mode)
        evaluate(model, *known_texts(10, 7), batch_size=4)
        name = "training" if mode else "evaluation"
        assert model.training == mode, f"the model was in {name} mode before, and is not any more"
