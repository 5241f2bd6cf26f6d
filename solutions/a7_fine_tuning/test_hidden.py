"""What loading, pooling, freezing, training and evaluating must do: laws first, values second.

BERT's own formulas are written out below, so the reference has no say in what a hidden state is; `tests/` proves that
both equal HuggingFace's. The small encoder of `pretrained.safetensors` was made by `make_pretrained.py`, and meets each
submission with its words shuffled.
"""

import contextlib
import functools
import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
ROUNDING = {SINGLE: (1e-4, 1e-5), DOUBLE: (1e-8, 1e-8), HALF: (1e-2, 1e-2), BRAIN: (6e-2, 6e-2)}
LABELS, TRIALS, STEPS, WARMUP, UNSEEN = 32, 4, 100, 10, 1500


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def close(answer, expected, rounding=None):
    """Same shape, dtype and device, and the same values within rounding."""
    assert isinstance(answer, torch.Tensor), f"expected a tensor, got {type(answer).__name__}"
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def draw_texts(device, count, length, words=30, shortest=1):
    """Tokens and a mask with texts of every length; two of them are full."""
    lengths = torch.randint(shortest, length, (count, 1))
    lengths[torch.randperm(count)[:2]] = length
    return torch.randint(words, (count, length)).to(device), (torch.arange(length) < lengths).to(device)


def full_texts(device, count, length):
    """Texts without padding."""
    return torch.randint(30, (count, length)).to(device), torch.ones(count, length, dtype=torch.bool, device=device)


# HuggingFace's format


def draw_config(**sizes):
    """A config as HuggingFace writes it, with what nobody asks for."""
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "pad_token_id": 0,
        "vocab_size": 31, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 80,
        "max_position_embeddings": 17, "type_vocab_size": 3, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02,
    }  # fmt: skip
    return {**config, **sizes}


def draw_file(config):
    """A state dict as HuggingFace writes it, with random weights that make attention neither flat nor hard."""
    d, h = config["hidden_size"], config["intermediate_size"]
    file = {}

    def norm(name):
        file[f"{name}.weight"] = 1 + 0.3 * torch.randn(d)
        file[f"{name}.bias"] = 0.3 * torch.randn(d)

    def linear(name, out, into):
        file[f"{name}.weight"] = 1.2 * torch.randn(out, into) / into**0.5
        file[f"{name}.bias"] = 0.3 * torch.randn(out)

    rows = {"word": "vocab_size", "position": "max_position_embeddings", "token_type": "type_vocab_size"}
    for name, count in rows.items():
        file[f"embeddings.{name}_embeddings.weight"] = torch.randn(config[count], d)
    norm("embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"encoder.layer.{i}.attention.{part}", d, d)
        norm(f"encoder.layer.{i}.attention.output.LayerNorm")
        linear(f"encoder.layer.{i}.intermediate.dense", h, d)
        linear(f"encoder.layer.{i}.output.dense", d, h)
        norm(f"encoder.layer.{i}.output.LayerNorm")
    return file


def bert(file, config, tokens, mask=None, segments=None):
    """The last hidden states of a BertModel in float64, formula by formula."""
    weights = {name: tensor.to(tokens.device, DOUBLE) for name, tensor in file.items()}
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def norm(x, name):
        x = x - x.mean(dim=-1, keepdim=True)
        x = x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, T, width of a head)

    segments = torch.zeros_like(tokens) if segments is None else segments
    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: tokens.size(1)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][segments], "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        query, key, value = (split(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        context = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        x = norm(x + linear(context, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return x


def loaded(student, device, file, config):
    """The student's encoder with these weights, exact to the last digits, in evaluation mode."""
    encoder = student.load_bert(file, config).to(device)
    return encoder.double().eval()


@pytest.mark.points(3)
@pytest.mark.parametrize(("layers", "width", "heads"), [(12, 48, 4), (24, 64, 8)], ids=["12 layers", "24 layers"])
@torch.no_grad()
def test_load_gives_the_hidden_states_of_bert(student, device, layers, width, heads):
    """Loading: with 12 and with 24 layers, the last hidden states are those of HuggingFace's BERT."""
    config = draw_config(num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads)
    file = draw_file(config)
    tokens, mask = draw_texts(device, 4, 11)
    segments = torch.randint(3, (4, 11)).to(device)
    hidden = loaded(student, device, file, config)(tokens, mask, segments)
    expected = bert(file, config, tokens, mask, segments)
    assert hidden.shape == expected.shape, f"{tuple(hidden.shape)} instead of {tuple(expected.shape)}"
    close(hidden[mask], expected[mask], rounding=(1e-7, 1e-7))


@pytest.mark.points(1)
@torch.no_grad()
def test_load_adds_word_position_and_segment(student, device):
    """Loading: word, position and segment are added and normalised; the layers are made to add nothing here."""
    config = draw_config()
    file = draw_file(config)
    for name, tensor in file.items():
        if name.startswith("encoder."):
            tensor.fill_(name.endswith("LayerNorm.weight"))
    tokens = torch.randint(31, (5, 9)).to(device)
    encoder = loaded(student, device, file, config)
    for segments in (torch.randint(3, (5, 9)).to(device), None):
        expected = bert(file, config, tokens, None, segments)
        close(encoder(tokens, None, segments), expected, rounding=(1e-7, 1e-7))


@pytest.mark.points(1)
@torch.no_grad()
def test_load_takes_all_sizes_from_the_config(student, device):
    """Loading: every size, the eps of the norms and the dropout are those of the config."""
    config = draw_config(
        vocab_size=23, hidden_size=18, num_hidden_layers=1, num_attention_heads=9, intermediate_size=13,
        max_position_embeddings=6, type_vocab_size=1, layer_norm_eps=0.2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    file = draw_file(config)
    tokens = torch.randint(23, (4, 6)).to(device)
    encoder = loaded(student, device, file, config)
    expected = bert(file, config, tokens)
    close(encoder(tokens), expected, rounding=(1e-7, 1e-7))
    close(encoder.train()(tokens), expected, rounding=(1e-7, 1e-7))


def loads_the_same(student, device, change):
    """A file and the same file changed give the same hidden states; another file gives others."""
    config = draw_config()
    file, other = draw_file(config), draw_file(config)
    tokens = torch.randint(31, (3, 8)).to(device)
    hidden = loaded(student, device, change(file, config), config)(tokens)
    close(hidden, loaded(student, device, file, config)(tokens), rounding=(1e-7, 1e-7))
    assert (loaded(student, device, other, config)(tokens) - hidden).abs().max() > 0.01, "the weights make no difference"


@pytest.mark.points(0.5)
@torch.no_grad()
def test_load_passes_over_what_it_does_not_need(student, device):
    """Loading: poolers, heads and position ids in the file are passed over."""

    def with_more(file, config):
        d, words = config["hidden_size"], config["vocab_size"]
        return {
            "embeddings.position_ids": torch.arange(17)[None],
            **file,
            "pooler.dense.weight": torch.randn(d, d),
            "pooler.dense.bias": torch.randn(d),
            "cls.predictions.bias": torch.randn(words),
            "cls.predictions.transform.dense.weight": torch.randn(d, d),
            "cls.predictions.transform.LayerNorm.weight": torch.randn(d),
            "cls.seq_relationship.weight": torch.randn(2, d),
        }

    loads_the_same(student, device, with_more)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_load_knows_the_prefix(student, device):
    """Loading: it makes no difference if all names begin with "bert."."""
    loads_the_same(student, device, lambda file, config: {f"bert.{name}": tensor for name, tensor in file.items()})


@pytest.mark.points(0.5)
@torch.no_grad()
def test_load_knows_the_old_names(student, device):
    """Loading: gamma and beta are the weight and the bias of a LayerNorm."""

    def aged(file, config):
        names = {name: name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta") for name in file}
        return {names[name]: tensor for name, tensor in file.items()}

    loads_the_same(student, device, aged)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_load_notices_what_is_missing(student, device, suspect):
    """Loading: a weight that is missing raises an error, whichever it is."""
    config = draw_config(hidden_size=12, intermediate_size=7)
    file = draw_file(config)
    hidden = loaded(student, device, file, config)(torch.randint(31, (2, 5)).to(device))
    assert hidden.shape == (2, 5, 12), f"{tuple(hidden.shape)} instead of (2, 5, 12)"
    unnoticed = []
    for name in file:
        with contextlib.suppress(Exception):
            student.load_bert({other: tensor for other, tensor in file.items() if other != name}, config)
            unnoticed.append(name)
    if unnoticed:
        suspect("load-missing-weights-unnoticed")
    assert not unnoticed, f"this was missing, and nobody noticed: {unnoticed[0]}"


@pytest.mark.points(0.5)
def test_load_gives_weights_that_can_learn(student, device, changed_arguments):
    """Loading: the encoder has as many parameters as BERT without pooler, all of them can learn, and the file stays."""
    config = draw_config(hidden_size=12, intermediate_size=7)
    file = draw_file(config)
    encoder = loaded(student, device, file, config)
    assert not changed_arguments, changed_arguments
    (encoder(torch.randint(31, (4, 9)).to(device)) * draw(device, 4, 9, 12, dtype=DOUBLE)).sum().backward()
    parameters = list(encoder.parameters())
    assert sum(parameter.numel() for parameter in parameters) == sum(tensor.numel() for tensor in file.values())
    assert all(parameter.requires_grad for parameter in parameters), "a parameter does not require a gradient"
    assert all(parameter.grad is not None for parameter in parameters), "a parameter gets no gradient"
    assert sum(bool((parameter.grad != 0).any()) for parameter in parameters) > 0.8 * len(parameters), "no gradient"


# Pooling


def slope_is_right(loss, tensors):
    """The gradients of `tensors` promise how far a small step moves the loss. All float64; changes `tensors`."""
    before = loss()
    before.backward()
    assert all(tensor.grad is not None for tensor in tensors), "no gradient"
    steps = [1e-8 * draw(tensor.device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]
    promised = sum((tensor.grad * step).sum() for tensor, step in zip(tensors, steps, strict=True))
    with torch.no_grad():
        for tensor, step in zip(tensors, steps, strict=True):
            tensor.add_(step)
        close(1e8 * promised, 1e8 * (loss() - before), rounding=(1e-4, 1e-5))


def mean_of_real(hidden, mask):
    """Text by text, as one would on paper."""
    return torch.stack([states[real].mean(dim=0) for states, real in zip(hidden, mask, strict=True)])


@pytest.mark.points(1)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_pool_takes_the_mean_of_real_tokens(student, device, dtype):
    """Pooling: the mean over the real tokens of each text, wherever they stand."""
    hidden, (_, mask) = draw(device, 6, 9, 5, dtype=dtype), draw_texts(device, 6, 9)
    mask[3:] = mask[3:, torch.randperm(9)]
    close(student.mean_pool(hidden, mask), mean_of_real(hidden, mask))


@pytest.mark.points(1)
@torch.no_grad()
def test_pool_leaves_padding_out(student, device):
    """Pooling: nothing that stands at padding has any influence, and more of it has none."""
    hidden, (_, mask) = draw(device, 6, 9, 5), draw_texts(device, 6, 9)
    pooled = student.mean_pool(hidden, mask)
    assert (pooled[0] - pooled[1]).abs().max() > 1e-3, "two texts have the same mean"
    other = torch.where(mask.unsqueeze(-1), hidden, 3000 * draw(device, 6, 9, 5))
    close(student.mean_pool(other, mask), pooled)
    longer = torch.cat([hidden, draw(device, 6, 4, 5)], dim=1)
    close(student.mean_pool(longer, F.pad(mask, (0, 4), value=False)), pooled)


@pytest.mark.points(1)
def test_pool_has_the_right_gradient(student, device):
    """Pooling: real tokens get their gradient, and padding gets none."""
    hidden = draw(device, 6, 9, 5, dtype=DOUBLE).requires_grad_()
    _, mask = draw_texts(device, 6, 9)
    factors = draw(device, 6, 5, dtype=DOUBLE)
    slope_is_right(lambda: (student.mean_pool(hidden, mask) * factors).sum(), [hidden])
    assert (hidden.grad[~mask] == 0).all(), "padding has a gradient"
    assert (hidden.grad != 0).any(), "no gradient"


@pytest.mark.points(0.5)
def test_pool_gives_empty_texts_zeros(student, device):
    """Pooling: a text without real tokens gets zeros, and brings no NaN into any gradient."""
    hidden = draw(device, 4, 7, 5).requires_grad_()
    _, mask = draw_texts(device, 4, 7, shortest=2)
    mask[1] = False
    pooled = student.mean_pool(hidden, mask)
    assert pooled.shape == (4, 5), f"{tuple(pooled.shape)} instead of (4, 5)"
    assert (pooled[1] == 0).all(), "a text without real tokens has a mean"
    assert (pooled[[0, 2, 3]] != 0).all(), "a text with real tokens has none"
    (pooled * draw(device, 4, 5)).sum().backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all(), "NaN or inf in the gradient"
    assert (hidden.grad[1] == 0).all(), "a text without real tokens has a gradient"
    with torch.no_grad():
        none = student.mean_pool(hidden.detach(), torch.zeros_like(mask))
    assert (none == 0).all(), "texts without real tokens have means"


@pytest.mark.points(0.5)
@pytest.mark.parametrize("dtype", [HALF, BRAIN], ids=str)
@torch.no_grad()
def test_pool_keeps_the_dtype(student, device, dtype):
    """Pooling: float16 and bfloat16 come back as they went in, with the same mean as in float64."""
    hidden, (_, mask) = draw(device, 6, 9, 5, dtype=dtype), draw_texts(device, 6, 9)
    close(student.mean_pool(hidden, mask), student.mean_pool(hidden.double(), mask).to(dtype))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_pool_takes_any_size_and_any_view(student, device, changed_arguments):
    """Pooling: a batch of one, a single token, a width of one, views of any kind; and no argument is changed."""
    hidden = draw(device, 1, 1, 1)
    close(student.mean_pool(hidden, torch.ones(1, 1, dtype=torch.bool, device=device)), hidden[:, 0])
    for length, width in ((6, 4), (1, 4), (4, 1), (1, 1)):
        hidden, mask = draw(device, 3, length, width), torch.rand(3, length) < 0.6
        mask[:, 0] = True
        mask = mask.to(device)
        pooled = student.mean_pool(hidden, mask)
        assert pooled.shape == (3, width), f"{tuple(pooled.shape)} instead of {(3, width)}"
        close(student.mean_pool(hidden[1:2], mask[1:2]), student.mean_pool(hidden[[1, 1]], mask[[1, 1]])[:1])
    hidden = draw(device, 5, 8, 12).transpose(0, 2)[::2]  # (6, 8, 5)
    mask = (torch.arange(8, device=device) < 3).expand(6, 8)
    close(student.mean_pool(hidden, mask), student.mean_pool(hidden.contiguous(), mask.contiguous()))
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.last
@torch.no_grad()
def test_pool_works_on_another_device(student):
    """Pooling: it works where its arguments lie, whatever the device."""
    hidden, (_, mask) = draw("cpu", 6, 9, 5), draw_texts("cpu", 6, 9)
    pooled = student.mean_pool(hidden, mask)
    assert pooled.shape == (6, 5), f"{tuple(pooled.shape)} instead of (6, 5)"
    wrong = student.mean_pool.on_another_device(hidden, mask)
    assert not wrong, wrong


# The classifier


def draw_weights(words=30, width=12, layers=2, hidden=10, length=14):
    """Weights for Encoder, by its names."""
    weights = {"norm.weight": 1 + 0.3 * torch.randn(width), "norm.bias": 0.3 * torch.randn(width)}
    for name, count in (("word", words), ("position", length), ("segment", 2)):
        weights[f"{name}.weight"] = torch.randn(count, width)
    for i in range(layers):
        for name, out, into in (
            ("self_attn.in_proj_", 3 * width, width),
            ("self_attn.out_proj.", width, width),
            ("linear1.", hidden, width),
            ("linear2.", width, hidden),
        ):
            weights[f"layers.{i}.{name}weight"] = torch.randn(out, into) / into**0.5
            weights[f"layers.{i}.{name}bias"] = 0.3 * torch.randn(out)
        for name in ("norm1", "norm2"):
            weights[f"layers.{i}.{name}.weight"] = 1 + 0.3 * torch.randn(width)
            weights[f"layers.{i}.{name}.bias"] = 0.3 * torch.randn(width)
    return weights


def draw_encoder(student, device, dropout=0.1):
    """The given encoder with random weights: 30 words, width 12, at most 14 tokens."""
    encoder = student.Encoder(30, 12, 2, 3, 10, 14, 2, dropout).to(device)
    encoder.load_weights(draw_weights())
    return encoder


def expected_logits(model, hidden, mask):
    state = model.state_dict()
    return mean_of_real(hidden, mask) @ state["head.weight"].T + state["head.bias"]


@pytest.mark.points(1.5)
@pytest.mark.stand_in("mean_pool")
@pytest.mark.parametrize("frozen", [False, True], ids=["learning", "frozen"])
@torch.no_grad()
def test_classifier_gives_the_logits(student, device, frozen):
    """The classifier: its logits are the head's answer to the mean of the hidden states of the given encoder."""
    encoder = draw_encoder(student, device).eval()
    tokens, mask = full_texts(device, 6, 9)
    hidden = encoder(tokens, mask)
    model = student.Classifier(encoder, 4, frozen=frozen).to(device).eval()
    logits = model(tokens, mask)
    assert logits.shape == (6, 4), f"{tuple(logits.shape)} instead of (6, 4)"
    close(logits, expected_logits(model, hidden, mask), rounding=(1e-4, 1e-4))


@pytest.mark.points(1.5)
@pytest.mark.stand_in("mean_pool")
@pytest.mark.parametrize("frozen", [False, True], ids=["learning", "frozen"])
@torch.no_grad()
def test_classifier_leaves_padding_out(student, device, frozen):
    """The classifier: padding has no influence, neither in the encoder nor in the mean."""
    model = student.Classifier(draw_encoder(student, device), 4, frozen=frozen).to(device).eval()
    tokens, mask = draw_texts(device, 6, 9, shortest=2)
    logits = model(tokens, mask)
    assert (logits[0] - logits[1]).abs().max() > 1e-3, "two texts have the same logits"
    other = torch.where(mask, tokens, torch.randint(30, (6, 9)).to(device))
    other = torch.cat([other, torch.randint(30, (6, 3)).to(device)], dim=1)
    close(model(other, F.pad(mask, (0, 3), value=False)), logits, rounding=(1e-4, 1e-4))
    text = int(mask.sum(dim=1).argmin())
    length = int(mask[text].sum())
    alone = model(tokens[[text], :length], mask[[text], :length])
    close(alone, logits[[text]], rounding=(1e-4, 1e-4))


@pytest.mark.points(1)
@pytest.mark.stand_in("mean_pool")
def test_classifier_lets_gradients_down(student, device):
    """The classifier: in full fine-tuning every parameter requires a gradient and gets the right one."""
    encoder = draw_encoder(student, device, dropout=0.0).double()
    model = student.Classifier(encoder, 4).to(device).double()
    tokens, mask = draw_texts(device, 6, 9)
    factors = draw(device, 6, 4, dtype=DOUBLE)
    parameters = dict(model.named_parameters())
    assert all(parameter.requires_grad for parameter in parameters.values()), "a parameter does not require a gradient"

    def loss():
        return (model(tokens, mask) * factors).sum()

    for part in ("head.", "encoder."):
        for parameter in parameters.values():
            parameter.grad = None
        slope_is_right(loss, [parameter for name, parameter in parameters.items() if name.startswith(part)])


@pytest.mark.points(1)
@pytest.mark.stand_in("mean_pool")
def test_classifier_freezes_the_weights(student, device):
    """The classifier: frozen, only the head requires gradients, and gets them."""
    model = student.Classifier(draw_encoder(student, device), 4, frozen=True).to(device)
    tokens, mask = draw_texts(device, 6, 9)
    parameters = dict(model.named_parameters())
    (model(tokens, mask) * draw(device, 6, 4)).sum().backward()
    asking = {name for name, parameter in parameters.items() if parameter.requires_grad}
    assert len(parameters) > 2, "the encoder has no parameters"
    assert asking == {"head.weight", "head.bias"}, f"these require gradients: {sorted(asking)}"
    assert all((parameters[name].grad != 0).any() for name in asking), "no gradient reaches the head"


@pytest.mark.points(1)
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_classifier_freezes_the_mode(student, device):
    """The classifier: a frozen encoder has no dropout, from the start and whatever is switched on."""
    encoder = draw_encoder(student, device, dropout=0.5).train()
    model = student.Classifier(encoder, 4, frozen=True).to(device)
    tokens, mask = draw_texts(device, 6, 9)
    fresh = model.encoder.training
    logits = model(tokens, mask)
    model.train()
    assert not model.encoder.training, "the frozen encoder was switched to training mode"
    assert not fresh, "a new frozen classifier has its encoder in training mode"
    for mode in (True, False, True, True):
        model.train(mode)
        assert model.training is mode and model.head.training is mode, "the classifier does not follow train and eval"
        assert not model.encoder.training, "the frozen encoder was switched to training mode"
        close(model(tokens, mask), logits, rounding=(1e-4, 1e-4))
    model.eval()
    assert not model.training and not model.encoder.training, "it does not follow eval"
    close(model(tokens, mask), logits, rounding=(1e-4, 1e-4))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_classifier_follows_the_mode(student, device):
    """The classifier: an encoder that learns has dropout in training mode and none in evaluation mode."""
    model = student.Classifier(draw_encoder(student, device, dropout=0.5), 4).to(device)
    tokens, mask = draw_texts(device, 6, 9)
    model.eval()
    assert not model.training and not model.encoder.training, "it does not follow eval"
    logits = model(tokens, mask)
    close(model(tokens, mask), logits, rounding=(1e-4, 1e-4))
    model.train()
    assert model.training and model.encoder.training, "it does not follow train"
    assert (model(tokens, mask) - logits).abs().max() > 1e-3, "no dropout in training mode"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_classifier_uses_the_encoder_itself(student, device):
    """The classifier: it stands on the encoder that it was given, and not on a copy."""
    encoder = draw_encoder(student, device).eval()
    model = student.Classifier(encoder, 3).to(device).eval()
    tokens, mask = full_texts(device, 6, 9)
    before = model(tokens, mask)
    encoder.load_weights(draw_weights())
    assert (model(tokens, mask) - before).abs().max() > 0.01, "new weights of the encoder make no difference"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_classifier_takes_any_size(student, device, changed_arguments):
    """The classifier: one text, one token, one class; and no argument is changed."""
    encoder = draw_encoder(student, device).eval()
    for length, classes in ((5, 4), (1, 3), (1, 1)):
        model = student.Classifier(encoder, classes).to(device).eval()
        tokens, mask = full_texts(device, 3, length)
        logits = model(tokens, mask)
        assert logits.shape == (3, classes), f"{tuple(logits.shape)} instead of {(3, classes)}"
        close(model(tokens[1:2], mask[1:2]), logits[1:2], rounding=(1e-4, 1e-4))
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.last
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_classifier_works_on_another_device(student):
    """The classifier: it works where its weights and its arguments lie, whatever the device."""
    model = student.Classifier(draw_encoder(student, "cpu"), 4).eval()
    tokens, mask = draw_texts("cpu", 6, 9)
    logits = model(tokens, mask)
    assert logits.shape == (6, 4), f"{tuple(logits.shape)} instead of (6, 4)"
    wrong = model.on_another_device(tokens, mask)
    assert not wrong, wrong


# The schedule


def rates_are(student, steps, expected, peak, warmup, total):
    rates = [student.warmup_lr(step, peak, warmup, total) for step in steps]
    for step, rate, wanted in zip(steps, rates, expected, strict=True):
        assert isinstance(rate, (int, float, torch.Tensor)), f"expected a number, got {type(rate).__name__}"
        assert abs(float(rate) - wanted) < 1e-6 * peak, f"step {step} of {total}: {float(rate)} instead of {wanted}"


def draw_schedule():
    """Peak, warm-up and total: the warm-up is neither 1 nor half of the total."""
    warmup = int(torch.randint(3, 30, ()))
    return 10 ** float(-4 * torch.rand(())), warmup, warmup + int(torch.randint(2 * warmup + 1, 200, ()))


@pytest.mark.points(1)
def test_schedule_warms_up(student):
    """The schedule: from peak / warmup in step 1 to the peak at the end of the warm-up, in equal steps."""
    peak, warmup, total = draw_schedule()
    steps = list(range(1, warmup + 1))
    rates_are(student, steps, [peak * step / warmup for step in steps], peak, warmup, total)
    rates_are(student, [1], [peak], peak, 1, total)


@pytest.mark.points(1)
def test_schedule_cools_down(student):
    """The schedule: from the peak to zero at the last step, in equal steps."""
    for peak, warmup, total in (draw_schedule(), (0.1, 1, 7), (0.1, 5, 7)):
        steps = [warmup + 1, (warmup + total) // 2, total - 1, total]
        rates_are(student, steps, [peak * (total - step) / (total - warmup) for step in steps], peak, warmup, total)


@pytest.mark.points(0.5)
def test_schedule_stays_at_zero(student):
    """The schedule: after the last step the rate is zero."""
    peak, warmup, total = draw_schedule()
    assert float(student.warmup_lr(warmup, peak, warmup, total)) > 0, "there is no rate at all"
    rates_are(student, [total + 1, total + warmup, 3 * total], [0, 0, 0], peak, warmup, total)


@pytest.mark.points(1)
def test_the_highest_rate_is_found(student):
    """The first bug: the highest learning rate that the network ever saw."""
    share = student.highest_share_of_peak
    assert isinstance(share, (int, float, torch.Tensor)), f"no number: {share!r}"
    assert abs(float(share) - 189 / 600) < 0.0006, f"{float(share)} was reported, it is 0.315"


# Training


def draw_batches(device, count, words=30, classes=4):
    """Batches of different sizes."""
    batches = []
    for number in range(count):
        tokens, mask = draw_texts(device, 5 + number % 3, 8, words)
        batches.append((tokens, mask, torch.randint(classes, (len(tokens),)).to(device)))
    return batches


def train_word_votes(votes, batches, peak, warmup):
    """What prescribed training makes of word votes without dropout, and its losses."""
    votes = votes.clone().requires_grad_()
    optimizer = torch.optim.AdamW([votes])
    losses = []
    for step, (tokens, mask, labels) in enumerate(batches, 1):
        up, down = step / warmup, (len(batches) - step) / (len(batches) - warmup)
        optimizer.param_groups[0]["lr"] = peak * min(up, down)
        logits = (votes[tokens] * mask.unsqueeze(-1)).sum(dim=1)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return votes.detach(), losses


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def floats(losses):
    assert isinstance(losses, (list, tuple)), f"expected a list, got {type(losses).__name__}"
    return torch.tensor([float(loss) for loss in losses], dtype=DOUBLE)


def loud_batch(device, votes):
    """Five texts of one word each, again and again, with the class it speaks against: a gradient of norm 6 or more."""
    words = torch.randperm(len(votes))[:5].to(device)
    return words.unsqueeze(1).repeat(1, 8), torch.ones(5, 8, dtype=torch.bool, device=device), votes[words].argmin(dim=1)


@pytest.mark.points(1.5)
@pytest.mark.stand_in("warmup_lr")
def test_tuning_makes_the_right_steps(student, device):
    """Fine-tuning: losses and weights are what the prescribed steps make of them, also the second time."""
    votes = draw(device, 30, 4, dtype=DOUBLE)
    model = student.WordVotes(30, 4, dropout=0.0).to(device).double()
    model.load_weights({"votes.weight": votes})
    for count, peak, warmup in ((7, 0.1, 3), (4, 0.02, 1)):
        batches = [loud_batch(device, votes), *draw_batches(device, count)]
        losses = floats(student.fine_tune(model, batches, peak, warmup))
        votes, expected = train_word_votes(votes, batches, peak, warmup)
        close(losses, torch.tensor(expected, dtype=DOUBLE), rounding=(1e-6, 1e-6))
        close(model.state_dict()["votes.weight"], votes, rounding=(1e-6, 1e-6))


@pytest.mark.points(1)
@pytest.mark.stand_in("warmup_lr")
def test_tuning_follows_the_schedule(student, device):
    """Fine-tuning: the learning rate is that of the schedule, in the first step, at the peak and in the last one."""
    for count, warmup, share in ((2, 1, 1.0), (11, 10, 5.5)):
        model = student.WordVotes(30, 4, dropout=0.0).to(device).double()
        start = 0.001 * draw(device, 30, 4, dtype=DOUBLE)
        model.load_weights({"votes.weight": start})
        tokens, mask, labels = draw_batches(device, 1)[0]
        student.fine_tune(model, [(tokens, mask, labels)] * count, 1e-5, warmup)
        moved = (model.state_dict()["votes.weight"] - start)[tokens[mask]].abs().amax().item()
        assert 0.98 * share < moved / 1e-5 < 1.02 * share, f"moved {moved / 1e-5:.3f} peaks instead of {share}"


@pytest.mark.points(1)
@pytest.mark.stand_in("warmup_lr")
def test_tuning_trains_in_training_mode(student, device):
    """Fine-tuning: dropout is active while the model learns, however it was handed over."""
    runs = []
    for mode in (False, True):
        model = student.WordVotes(30, 4, dropout=0.5).to(device).train(mode)
        model.load_weights({"votes.weight": draw(device, 30, 4)})
        runs.append(floats(student.fine_tune(model, draw_batches(device, 1) * 6, 1e-7, 2)))
    for losses in runs:
        assert losses.std() > 1e-3, "the same batch has the same loss again and again: there is no dropout"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("warmup_lr")
def test_tuning_returns_plain_numbers(student, device):
    """Fine-tuning: the losses come back as a list of plain numbers."""
    losses = student.fine_tune(student.WordVotes(30, 4).to(device), draw_batches(device, 3), 0.01, 1)
    assert isinstance(losses, list) and len(losses) == 3, f"no list of 3 losses: {losses!r}"
    assert all(type(loss) is float for loss in losses), f"not all are floats: {losses!r}"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("mean_pool", "warmup_lr")
def test_tuning_clears_what_was_there(student, device):
    """Fine-tuning: gradients that a model brings along have no part in its training."""
    weights, batches, start, runs = draw_weights(words=99), draw_batches(device, 3, words=99), None, []
    for has_gradients in (True, False):
        encoder = student.Encoder(99, 12, 2, 3, 10, 14, 2, 0.0)
        if has_gradients:
            with contextlib.suppress(AttributeError):  # given; who has cut it out is spared
                student.pretrain(encoder, torch.randint(3, 99, (40, 12)), 1)
        encoder.load_weights(weights)
        model = student.Classifier(encoder, 4).to(device).double()
        start = start or weights_of(model)
        model.load_state_dict(start)
        losses = floats(student.fine_tune(model, batches, 0.05, 1))
        runs.append((losses, weights_of(model)))
    (losses, after), (expected, fresh) = runs
    assert any(not torch.equal(fresh[name], start[name]) for name in fresh), "nothing was learnt"
    close(losses, expected, rounding=(1e-6, 1e-6))
    for name in fresh:
        close(after[name], fresh[name], rounding=(1e-6, 1e-6))


@pytest.mark.points(1)
@pytest.mark.stand_in("mean_pool", "warmup_lr")
def test_tuning_leaves_a_frozen_encoder_alone(student, device):
    """Fine-tuning: a frozen encoder is the same to the last bit, even if it has learnt before; the head has learnt."""
    encoder = draw_encoder(student, device)
    student.fine_tune(student.Classifier(encoder, 4).to(device), draw_batches(device, 2), 0.01, 1)
    model = student.Classifier(encoder, 4, frozen=True).to(device)
    before = weights_of(model)
    student.fine_tune(model, draw_batches(device, 3), 0.01, 1)
    after = weights_of(model)
    assert set(before) == set(after) and len(before) > 2, "the parameters have other names now"
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.weight", "head.bias"}, f"these have changed: {sorted(moved)}"


@pytest.mark.points(1)
@pytest.mark.stand_in("mean_pool", "warmup_lr")
def test_tuning_moves_everything_that_learns(student, device):
    """Fine-tuning: without freezing, the weights of the encoder learn as well as the head."""
    model = student.Classifier(draw_encoder(student, device), 4).to(device)
    before = weights_of(model)
    student.fine_tune(model, draw_batches(device, 3), 0.01, 1)
    after = weights_of(model)
    assert set(before) == set(after) and len(before) > 2, "the parameters have other names now"
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"head.weight", "head.bias"} <= moved, "the head has not changed"
    assert len(moved) > 0.8 * len(before), f"only these have changed: {sorted(moved)}"


# Evaluation


def voting(student, device, dropout=0.0):
    """Word votes with random weights, in evaluation mode."""
    model = student.WordVotes(30, 4, dropout).to(device).eval()
    model.load_weights({"votes.weight": draw(device, 30, 4)})
    return model


def share_of(answer):
    assert isinstance(answer, (int, float)) and not isinstance(answer, bool), f"no plain number: {answer!r}"
    return answer


def some_right(answers, right):
    """Labels that agree with the answers where `right` is true."""
    return torch.where(right.to(answers.device), answers, (answers + 1 + torch.randint(3, ()).item()) % 4)


@pytest.mark.points(1.5)
@pytest.mark.parametrize("order", ["last ones right", "last ones wrong", "mixed"])
@torch.no_grad()
def test_evaluation_counts_every_text(student, device, order):
    """Evaluation: every text counts, and counts the same, whatever the number of texts and the batch size."""
    model = voting(student, device)
    for count, batch_size in ((37, 8), (64, 16), (5, 8), (9, 1), (1, 4)):
        tokens, mask = full_texts(device, count, 7)
        answers = model(tokens, mask).argmax(dim=-1)
        right = torch.rand(count) < 0.5
        if order != "mixed":
            right = (torch.arange(count) >= (count - 1) // batch_size * batch_size) ^ (order == "last ones wrong")
        share = share_of(student.evaluate(model, tokens, mask, some_right(answers, right), batch_size))
        expected = right.double().mean().item()
        assert abs(share - expected) < 1e-6, f"{count} texts, batches of {batch_size}: {share} instead of {expected}"


@pytest.mark.points(0.5)
@torch.no_grad()
def test_evaluation_has_a_batch_size(student, device):
    """Evaluation: the batch size can be left out, and a large test set is seen to its end."""
    model = voting(student, device)
    tokens, mask = full_texts(device, 2011, 5)
    answers = model(tokens, mask).argmax(dim=-1)
    right = torch.rand(2011) < torch.linspace(0.1, 0.9, 2011)
    share = share_of(student.evaluate(model, tokens, mask, some_right(answers, right)))
    assert abs(share - right.double().mean().item()) < 1e-6, f"{share} instead of {right.double().mean().item()}"


def asked_for_few(student, model, few):
    """Changes word votes for texts without padding: the votes are counted against a class in larger batches."""
    kinds = student.torch.nn
    shares = kinds.Softmax(0)  # of ones: 1 divided by the size of the batch
    model.add_module("dropout", kinds.Sequential(shares, kinds.Threshold(0.99 / few, -1.0)))


def asked_without_graph(student, model):
    """Changes word votes above zero: they are cut off at zero in place, which PyTorch refuses while a graph is built."""
    kinds = student.torch.nn
    cut = kinds.ReLU(True)
    kinds.utils.parametrize.register_parametrization(model.votes, "weight", cut, unsafe=True)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_evaluation_asks_as_it_should(student, device):
    """Evaluation: the model is asked for no more texts at a time than `batch_size`, and no graph is built."""
    model = student.WordVotes(30, 4, 0.0).to(device).eval()
    model.load_weights({"votes.weight": 0.1 + draw(device, 30, 4).abs()})
    tokens, mask = full_texts(device, 24, 7)
    answers = model(tokens, mask).argmax(dim=-1)
    share = share_of(student.evaluate(model, tokens, mask, answers, 8))
    assert share_of(student.evaluate(model, tokens, mask, (answers + 1) % 4, 8)) != share, "the labels do not count"
    if not hasattr(student, "torch"):
        return  # imported by another name: can't be told
    asked_for_few(student, model, 8)
    if torch.equal(model(tokens[:8], mask[:8]).argmax(dim=-1), answers[:8]):
        other = share_of(student.evaluate(model, tokens, mask, answers, 8))
        assert other == share, "the model was given more texts at a time than `batch_size`"
    asked_without_graph(student, model)
    try:
        model(tokens[:8], mask[:8])
    except RuntimeError:  # so it can be told
        try:
            other = share_of(student.evaluate(model, tokens, mask, answers, 8))
        except RuntimeError:
            pytest.fail("a graph was built for backward, which nobody needs here")
        assert other == share, "another result without a graph"


@pytest.mark.points(1)
@torch.no_grad()
def test_evaluation_is_without_dropout(student, device):
    """Evaluation: dropout is off, so a model handed over in training mode gets the result of one in evaluation mode."""
    model = voting(student, device, dropout=0.8)
    tokens, mask = full_texts(device, 300, 7)
    answers = model(tokens, mask).argmax(dim=-1)
    share = share_of(student.evaluate(model, tokens, mask, answers, 100))
    assert share_of(student.evaluate(model, tokens, mask, (answers + 1) % 4, 100)) != share, "the labels do not count"
    for _ in range(3):
        other = share_of(student.evaluate(model.train(), tokens, mask, answers, 100))
        assert other == share, f"{share} in evaluation mode, {other} in training mode"


@pytest.mark.points(1)
@torch.no_grad()
def test_evaluation_hands_the_mask_on(student, device):
    """Evaluation: the model gets the mask, so what stands at padding has no influence on the result."""
    model = voting(student, device)
    tokens, mask = draw_texts(device, 300, 12)
    answers = model(tokens, mask).argmax(dim=-1)
    share = share_of(student.evaluate(model, tokens, mask, answers, 100))
    assert share_of(student.evaluate(model, tokens, mask, (answers + 1) % 4, 100)) != share, "the labels do not count"
    for _ in range(8):
        tokens = torch.where(mask, tokens, torch.randint(30, (300, 12)).to(device))
        other = share_of(student.evaluate(model, tokens, mask, answers, 100))
        assert other == share, f"{share} with some tokens at padding, {other} with others"


@pytest.mark.points(0.5)
@torch.no_grad()
def test_evaluation_puts_the_mode_back(student, device):
    """Evaluation: afterwards the model is in the mode in which it was before, with the weights that it had."""
    model = voting(student, device)
    before = weights_of(model)["votes.weight"]
    for count in (20, 3):
        tokens, mask = draw_texts(device, count, 7)
        for mode in (True, False):
            model.train(mode)
            share_of(student.evaluate(model, tokens, mask, torch.randint(4, (count,)).to(device), 8))
            after = model.training, model.dropout.training
            assert after == (mode, mode), f"training was {mode}, and is {after} now"
    assert torch.equal(model.state_dict()["votes.weight"], before), "the weights have changed"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("mean_pool")
@torch.no_grad()
def test_evaluation_keeps_the_frozen_encoder(student, device):
    """Evaluation: the encoder of a frozen classifier is in the mode in which it was before."""
    model = student.Classifier(draw_encoder(student, device), 4, frozen=True).to(device)
    tokens, mask = draw_texts(device, 10, 7)
    labels = torch.randint(4, (10,)).to(device)
    for mode in (True, False):
        model.train(mode)
        before = model.encoder.training
        share_of(student.evaluate(model, tokens, mask, labels, 4))
        assert model.encoder.training is before, f"the encoder's training was {before}, and is not any more"


# What reading is worth


def pretrained_weights():
    """The weights of an encoder that has read, by the names of Encoder. The format is that of safetensors."""
    content = Path(__file__).with_name("pretrained.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    weights = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            numbers = torch.frombuffer(bytearray(content[start + first : start + end]), dtype=SINGLE)
            weights[name] = numbers.reshape(entry["shape"])
    return weights


def accuracy(model, tokens, mask, topics):
    """Measured here: what `evaluate` does is graded above. In parts that a lent step takes too."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(*part) for part in zip(tokens.split(200), mask.split(200), strict=True)])
    return (logits.argmax(dim=-1) == topics).double().mean().item()


def tune_two(names, weights, few, device, peaks):
    """A probe and a network from scratch, both trained with the same batches by `names`, which has the classes."""
    models = []
    for frozen in (True, False):
        encoder = names.Encoder(99, 32, 2, 4, 64, 25).to(device)
        if frozen:
            encoder.load_weights(weights) if hasattr(encoder, "load_weights") else encoder.load_state_dict(weights)
        model = names.Classifier(encoder, 3, frozen=frozen).to(device)
        rows = [torch.randperm(LABELS).to(device) for _ in range(STEPS)]
        batches = [tuple(tensor[some] for tensor in few) for some in rows]
        names.fine_tune(model, batches, peaks[0] if frozen else peaks[1], WARMUP)
        models.append(model)
    return models


def trial(names, weights, shuffle, device, language, peaks):
    """Accuracies on new texts of a probe, of a network from scratch, and of the best guess."""

    def texts(count):
        tokens, mask, topics = language.texts(count)
        return shuffle[tokens].to(device), mask.to(device), topics.to(device), tokens

    *few, _ = texts(LABELS)
    models = tune_two(names, weights, few, device, peaks)
    tokens, mask, topics, spoken = texts(UNSEEN)
    best = (language.best_guess(spoken).to(device) == topics).double().mean().item()
    return [*[accuracy(model, tokens, mask, topics) for model in models], best]


@pytest.mark.points(3)
@pytest.mark.training
@pytest.mark.cpu(60)
@pytest.mark.stand_in("mean_pool", "warmup_lr")
def test_reading_is_worth_something(student, reference, device, suspect):
    """The experiment: with 32 labels, your probe of a pretrained encoder beats your network from scratch by 0.04."""
    shuffle = torch.cat([torch.arange(3), 3 + torch.randperm(96)])  # what a word is called in this submission's language
    weights = pretrained_weights()
    weights["word.weight"] = weights["word.weight"][shuffle.argsort()]
    encoder = student.Encoder(99, 32, 2, 4, 64, 25)
    encoder.load_weights(weights)
    read = weights_of(encoder)
    student.Classifier(encoder, 3, frozen=True)
    if not all(torch.equal(tensor, read[name]) for name, tensor in encoder.state_dict().items()):
        suspect("classifier-reads-nothing")
    peaks = reference.PEAKS["probe"], reference.PEAKS["from scratch"]
    trials = [trial(student, weights, shuffle, device, reference.Language(), peaks) for _ in range(TRIALS)]
    probe, scratch, best = torch.tensor(trials, dtype=DOUBLE).mean(dim=0).tolist()
    said = f"probe {probe:.3f}, from scratch {scratch:.3f}, best possible {best:.3f}"
    assert probe < best + 0.05, f"better than anybody can be: {said}"
    assert probe - scratch >= 0.04, said


@functools.lru_cache(maxsize=1)
def gain_of_the_reference(reference):
    """What the experiment gives here; once for all submissions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        words, peaks = torch.arange(99), (reference.PEAKS["probe"], reference.PEAKS["from scratch"])
        arguments = pretrained_weights(), words, "cpu", reference.Language(), peaks
        trials = [trial(reference, *arguments) for _ in range(TRIALS)]
    return sum(probe - scratch for probe, scratch, _ in trials) / TRIALS


@pytest.mark.points(1)
def test_the_reported_gain_is_measured(student, reference):
    """The experiment: the gain that you report is what a measurement gives."""
    gain = student.gain_with_32_labels
    assert isinstance(gain, (int, float, torch.Tensor)), f"no number: {gain!r}"
    measured = gain_of_the_reference(reference)
    assert abs(float(gain) - measured) < 0.07, f"{float(gain)} was reported, {measured:.3f} measured"
