"""The public tests of 'The Transformer': run `pytest` in this folder."""

import math

import torch

from a5_transformer import (
    Decoder,
    DecoderLayer,
    Encoder,
    EncoderLayer,
    FeedForward,
    Transformer,
    beam_search,
    decode_step,
    greedy_decode,
    start_decoding,
)


def load(module, weights):
    """Set weights by name; what is not named becomes 0, and 1 in the norms."""
    state = {name: torch.zeros_like(tensor) for name, tensor in module.state_dict().items()}
    state |= {name: torch.ones_like(tensor) for name, tensor in state.items() if "norm" in name and "weight" in name}
    module.load_state_dict(state | {name: torch.as_tensor(value) for name, value in weights.items()})
    return module


def test_feed_forward_by_hand():
    """Agrees with two words that were worked out on paper."""
    network = load(FeedForward(1, 2, dropout=0), {
        "linear1.weight": [[1.0], [-1.0]], "linear1.bias": [0.0, 1.0],
        "linear2.weight": [[2.0, 3.0]], "linear2.bias": [0.5],
    })
    got = network(torch.tensor([[2.0], [-3.0]])).flatten().tolist()
    # 2: max(0, 2) = 2 and max(0, -2 + 1) = 0, so 2 * 2 + 0.5;  -3: max(0, -3) = 0 and max(0, 3 + 1) = 4
    assert got == [4.5, 12.5], f"2 should become 4.5 and -3 should become 12.5; yours become {got}"


def test_feed_forward_takes_each_word_alone():
    """What becomes of a word does not depend on its neighbours."""
    network, x = FeedForward(4, 10).eval(), torch.randn(2, 3, 4)
    together, alone = network(x), network(x[:, 1:2])
    assert together.shape == (2, 3, 4), f"(2, 3, 4) should come back, not {tuple(together.shape)}"
    assert torch.allclose(together[:, 1:2], alone, atol=1e-6), "a word alone gives another result than among others"


def test_feed_forward_drops_in_training_only():
    """Dropout works in train() and rests in eval()."""
    network, x = FeedForward(4, 10, dropout=0.5), torch.randn(8, 4)
    assert not torch.equal(network(x), network(x)), "in train() with dropout=0.5, two runs gave the same numbers"
    network.eval()
    assert torch.equal(network(x), network(x)), "in eval(), two runs gave different numbers"


def averaging(prefix):
    """Weights of an nn.MultiheadAttention of width 4 that brings back the mean of what it looks at."""
    unit = torch.eye(4)
    return {f"{prefix}.in_proj_weight": torch.cat([unit, 0 * unit, unit]), f"{prefix}.out_proj.weight": unit}


def normalised(x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def test_a_layer_that_adds_nothing():
    """If both sublayers give zero, post-norm normalises the words and pre-norm leaves them as they are."""
    x = 3 * torch.randn(2, 5, 4) + 1
    post = load(EncoderLayer(4, 2, 10, dropout=0), {})(x)
    assert torch.allclose(post, normalised(x), atol=1e-2), (
        "post-norm: both sublayers give 0 here, so what comes out should be the words, normalised"
    )
    pre = load(EncoderLayer(4, 2, 10, dropout=0, norm_first=True), {})(x)
    assert torch.allclose(pre, x, atol=1e-5), (
        "pre-norm: both sublayers give 0 here, so the words should come out as they went in"
    )


def test_a_layer_that_averages():
    """What self-attention brings is added to the words, and the norm stands in the right place."""
    x = 3 * torch.randn(2, 5, 4)
    post = load(EncoderLayer(4, 1, 10, dropout=0), averaging("self_attn"))(x)
    expected = normalised(x + x.mean(dim=1, keepdim=True))
    assert torch.allclose(post, expected, atol=1e-2), (
        "post-norm: attention brings the mean of all words here, so LN(x + mean of x) should come out"
    )
    pre = load(EncoderLayer(4, 1, 10, dropout=0, norm_first=True), averaging("self_attn"))(x)
    expected = x + normalised(x).mean(dim=1, keepdim=True)
    assert torch.allclose(pre, expected, atol=1e-4), (
        "pre-norm: attention brings the mean of the normalised words here, so x + mean of LN(x) should come out"
    )


def test_feed_forward_comes_second():
    """The feed-forward is added to what the attention has made, not to what went in."""
    x = 3 * torch.randn(2, 5, 4)
    weights = averaging("self_attn") | {
        "feed_forward.linear1.weight": torch.cat([torch.eye(4), -torch.eye(4)]),
        "feed_forward.linear2.weight": torch.cat([torch.eye(4), torch.eye(4)], dim=1),
    }  # this feed-forward gives |x|
    got = load(EncoderLayer(4, 1, 8, dropout=0), weights)(x)
    middle = normalised(x + x.mean(dim=1, keepdim=True))
    assert torch.allclose(got, normalised(middle + middle.abs()), atol=1e-2), (
        "with a feed-forward that gives the absolute values, LN(m + |m|) should come out, where m is what the "
        "first sublayer with its norm has made"
    )


def test_hidden_words_have_no_influence():
    """A word that is masked may be anything: the others do not notice."""
    layer, x = EncoderLayer(4, 2, 10).eval(), torch.randn(2, 5, 4)
    mask = torch.tensor([True, True, True, False, False])
    other = x.clone()
    other[:, 3:] = torch.randn(2, 2, 4)
    seen, unseen = layer(x, mask)[:, :3], layer(other, mask)[:, :3]
    assert torch.allclose(seen, unseen, atol=1e-6), "two hidden words were changed, and the others changed with them"
    assert not torch.allclose(seen, layer(x)[:, :3], atol=1e-4), "the mask makes no difference"


def test_nowhere_to_look():
    """A word that may look nowhere is no reason for NaN, neither in the result nor in a gradient."""
    layer, x = EncoderLayer(4, 2, 10, dropout=0), torch.randn(1, 3, 4, requires_grad=True)
    got = layer(x, torch.tensor([[True, False, False], [False, False, False], [True, True, False]]))
    assert not got.isnan().any(), "NaN: the second word may look nowhere (did you use `attend`?)"
    got.square().sum().backward()
    assert not x.grad.isnan().any(), "the result is fine, but its gradient holds NaN"


def test_the_decoder_reads_the_memory():
    """What cross-attention finds in the memory is added to the words."""
    x, memory = 3 * torch.randn(2, 3, 4), 2 * torch.randn(2, 5, 4) + 1
    mean = memory.mean(dim=1, keepdim=True)
    post = load(DecoderLayer(4, 1, 10, dropout=0), averaging("cross_attn"))(x, memory)
    assert torch.allclose(post, normalised(normalised(x) + mean), atol=1e-2), (
        "post-norm: cross-attention brings the mean of the memory here, so LN(LN(x) + mean) should come out"
    )
    pre = load(DecoderLayer(4, 1, 10, dropout=0, norm_first=True), averaging("cross_attn"))(x, memory)
    assert torch.allclose(pre, x + mean, atol=1e-4), (
        "pre-norm: x + mean of the memory should come out; the memory itself is not normalised"
    )


def test_the_first_word_sees_the_first_word():
    """With a causal mask, self-attention brings each word the mean of what stands so far."""
    x, memory = 3 * torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    causal = torch.ones(3, 3, dtype=torch.bool).tril()
    got = load(DecoderLayer(4, 1, 10, dropout=0), averaging("self_attn"))(x, memory, causal)
    so_far = x.cumsum(dim=1) / torch.arange(1, 4)[:, None]
    assert torch.allclose(got, normalised(x + so_far), atol=1e-2), (
        "LN(x + mean of x so far) should come out: is the mask used, and used in self-attention?"
    )


def test_hidden_memory_is_not_read():
    """`memory_mask` hides words of the memory, and only there."""
    layer, x, memory = DecoderLayer(4, 2, 10).eval(), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([True, True, True, False, False])
    other = memory.clone()
    other[:, 3:] = torch.randn(2, 2, 4)
    got = layer(x, memory, None, mask)
    assert torch.allclose(got, layer(x, other, None, mask), atol=1e-6), "what is hidden in the memory was read"
    assert not torch.allclose(got, layer(x, memory), atol=1e-5), "the memory mask makes no difference"
    x_other = x.clone()
    x_other[:, 4] = torch.randn(2, 4)
    changed = not torch.allclose(got[:, 0], layer(x_other, memory, None, mask)[:, 0], atol=1e-6)
    assert changed, "the memory mask has hidden words of the target: the two masks are mixed up"


def names_of_a_layer(prefix, attentions, norms):
    parts = [f"{attention}.{name}" for attention in attentions for name in ("in_proj_", "out_proj.")]
    parts += [f"{name}." for name in ("feed_forward.linear1", "feed_forward.linear2", *norms)]
    return {f"{prefix}.{part}{kind}" for part in parts for kind in ("weight", "bias")}


def test_the_names_are_right():
    """The parameters have the names of the docstring."""
    for kind, attentions, norms in (
        (Encoder, ("self_attn",), ("norm1", "norm2")),
        (Decoder, ("self_attn", "cross_attn"), ("norm1", "norm2", "norm3")),
    ):
        for norm_first in (False, True):
            expected = names_of_a_layer("layers.0", attentions, norms) | names_of_a_layer("layers.1", attentions, norms)
            expected |= {"norm.weight", "norm.bias"} if norm_first else set()
            got = set(kind(2, 4, 2, 10, norm_first=norm_first).state_dict())
            what = f"{kind.__name__} with 2 layers and norm_first={norm_first}"
            assert not expected - got, f"{what} lacks {', '.join(sorted(expected - got)[:3])} (of {len(expected)} names)"
            assert not got - expected, f"{what} has {', '.join(sorted(got - expected)[:3])} too much"


def test_every_layer_has_its_own_weights():
    """Layers are different objects, and do not begin alike."""
    for stack in (Encoder(3, 4, 2, 10), Decoder(3, 4, 2, 10)):
        weights = [layer.feed_forward.linear1.weight for layer in stack.layers]
        assert len({id(weight) for weight in weights}) == 3, "the layers share one weight: they are one object"
        assert not torch.equal(weights[0], weights[1]), "two layers began with equal weights: is one a copy?"


def test_every_layer_counts():
    """The words go through all layers, one after the other."""
    added = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    weights = {f"layers.{i}.feed_forward.linear2.bias": added[i] for i in range(3)}
    got = load(Encoder(3, 4, 2, 10, dropout=0, norm_first=True), weights)(torch.zeros(1, 1, 4))[0, 0]
    assert torch.allclose(got, normalised(added.sum(dim=0)), atol=1e-3), (
        "three layers each add something to another dimension here, 3, 2 and 1, so LN of (3, 2, 1, 0) should come out"
    )


def test_the_final_norm():
    """After pre-norm layers the words are normalised once more, after post-norm layers they are not."""
    x, memory = 5 * torch.randn(2, 3, 4), torch.randn(2, 6, 4)
    pre = load(Decoder(2, 4, 2, 10, dropout=0, norm_first=True), {"norm.weight": torch.full((4,), 2.0)})(x, memory)
    assert torch.allclose(pre, 2 * normalised(x), atol=1e-3), (
        "pre-norm, all sublayers zero, norm.weight 2: twice the normalised words should come out"
    )


def small_transformer(**options):
    return Transformer(11, 13, 8, 2, 2, 16, **({"dropout": 0.0} | options))


def test_logits_come_out():
    """Source and target of different lengths and vocabularies give a row of logits for each word of the target."""
    source, target = torch.randint(1, 11, (3, 5)), torch.randint(1, 13, (3, 4))
    logits = small_transformer()(source, target)
    assert logits.shape == (3, 4, 13), f"expected the shape (3, 4, 13), got {tuple(logits.shape)}"
    assert (logits.sum(dim=-1) - 1).abs().max() > 1e-3, "each row sums to 1: return logits, without a softmax"


def test_the_embedding_has_the_right_size():
    """With all sublayers zero, LN(sqrt(d) · embedding + positions) reaches the generator."""
    model = small_transformer(norm_first=True)
    table = torch.randn(13, 8)
    load(model, {"target_embedding.weight": table, "generator.weight": torch.eye(13)[:, :8]})
    target = torch.tensor([[3, 7, 12]])
    got = model(torch.tensor([[1, 2]]), target)[0, :, :8]
    waves = [(f, 10000 ** (-i / 8)) for i in (0, 2, 4, 6) for f in (math.sin, math.cos)]
    places = torch.tensor([[f(t * rate) for f, rate in waves] for t in range(3)])
    words = table[target[0]]
    assert not torch.allclose(got, normalised(words + places), atol=1e-3), (
        "embedding and positions arrive in equal parts: multiply the embedding by sqrt(d), and only the embedding"
    )
    assert torch.allclose(got, normalised(words * math.sqrt(8) + places), atol=1e-3), (
        "something else than LN(sqrt(d) · embedding + positions) reaches the generator"
    )


def test_later_words_are_not_seen():
    """The logits at a place do not depend on what follows."""
    model, source, target = small_transformer(), torch.randint(1, 11, (2, 5)), torch.randint(1, 13, (2, 6))
    other = target.clone()
    other[:, 4] = target[:, 4] % 12 + 1
    got, changed = model(source, target), model(source, other)
    assert torch.allclose(got[:, :4], changed[:, :4], atol=1e-5), "the fifth word was changed, and earlier logits too"
    assert not torch.allclose(got[:, 4], changed[:, 4], atol=1e-5), (
        "the fifth word was changed, and the logits at its place are the same: does a word see itself?"
    )


def test_padding_the_source_changes_nothing():
    """Padding after the source has no influence."""
    model, source, target = small_transformer(), torch.randint(1, 11, (2, 5)), torch.randint(1, 13, (2, 6))
    padded = torch.cat([source, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(model(source, target), model(padded, target), atol=1e-5), (
        "three pads were appended to the source, and the logits changed: who looks at the source, and which mask has it?"
    )


def test_padding_on_the_left_of_the_target():
    """A target that begins with padding gives numbers, and its padding is not looked at."""
    model, source = small_transformer(target_pad=7), torch.randint(1, 11, (1, 5))
    target = torch.tensor([[7, 7, 2, 5, 3]])
    got = model(source, target)
    assert not got.isnan().any(), "NaN: the first word may look nowhere, since all it could see is padding"
    with torch.no_grad():
        model.target_embedding.weight[7] += 1
    assert torch.allclose(got[:, 2:], model(source, target)[:, 2:], atol=1e-5), (
        "the embedding of the padding was changed, and the logits of the words with it: somebody looks at the padding"
    )


class Countdown(torch.nn.Module):
    """After bos (1) comes the first word of the source, then always one less; pads are 0."""

    target_pad = 0

    def forward(self, source, target_in):
        follows = torch.where(target_in == 1, source[:, :1], target_in - 1).clamp(min=0)
        return torch.nn.functional.one_hot(follows, 10).float()


def rows_of(ids):
    """The rows as lists; columns at the end that hold nothing but padding may be there or not."""
    assert isinstance(ids, torch.Tensor) and ids.dtype == torch.long, "expected a tensor of word numbers (torch.long)"
    return ids[:, : int((ids != 0).any(dim=0).nonzero().max()) + 1].tolist()


def test_writing_ends_with_eos():
    """A row is bos, the words, eos, and padding while the others go on."""
    got = rows_of(greedy_decode(Countdown().eval(), torch.tensor([[4], [2], [6]]), 1, 2, 20))
    expected = [[1, 4, 3, 2, 0, 0], [1, 2, 0, 0, 0, 0], [1, 6, 5, 4, 3, 2]]
    assert got == expected, f"the rows should be {expected}, but are {got}"


def test_writing_stops_in_the_end():
    """A row that does not end is cut off after max_length words."""
    got = rows_of(greedy_decode(Countdown().eval(), torch.tensor([[9], [3]]), 1, 2, 4))
    expected = [[1, 9, 8, 7, 6], [1, 3, 2, 0, 0]]
    assert got == expected, f"with max_length=4 the rows should be {expected}, but are {got}"


def test_decoding_leaves_the_mode_alone():
    """A model that was in training is in training afterwards."""
    model = Countdown().train()
    greedy_decode(model, torch.tensor([[4]]), 1, 2, 5)
    assert model.training, "the model came in train() and was left in eval()"


def test_cached_equals_uncached():
    """Word by word with a cache gives the logits of the whole target at once."""
    for norm_first in (False, True):
        model = Transformer(11, 13, 8, 2, 2, 16, norm_first=norm_first).eval()
        source, target = torch.tensor([[3, 5, 2, 0], [4, 4, 1, 9]]), torch.tensor([[1, 5, 8, 2], [1, 6, 6, 3]])
        whole, cache = model(source, target), start_decoding(model, source)
        for t in range(4):
            logits, cache = decode_step(model, target[:, t], cache)
            assert logits.shape == (2, 13), f"expected logits of shape (2, 13), got {tuple(logits.shape)}"
            assert torch.allclose(logits, whole[:, t], atol=1e-4), (
                f"norm_first={norm_first}: the logits at place {t} (counted from 0) differ from those without a cache"
            )


class Crossroads(torch.nn.Module):
    """After bos (1): 3 with probability 0.6, or 4. After 3: one of 3, 4, 5, 6 at random. After 4, 5, 6: the end (2)."""

    target_pad = 0

    def forward(self, source, target_in):
        table = torch.full((7, 7), 1e-9)
        table[1, 3], table[1, 4], table[3, 3:] = 0.6, 0.4, 0.25
        table[0, 2] = table[2, 2] = table[4:, 2] = 1.0
        return table.log()[target_in]


def test_a_wide_beam_finds_the_better_sentence():
    """A beam of 2 finds a sentence that is better than the greedy one, and a beam of 1 finds the greedy one."""
    model, source = Crossroads().eval(), torch.tensor([[5], [6]])
    sentences, _ = beam_search(model, source, 1, 2, 1, 6)
    assert sentences[0, 1] == 3, "a beam of 1 always takes the most likely next word, which is 3 here"
    sentences, scores = beam_search(model, source, 1, 2, 2, 6)
    assert rows_of(sentences) == [[1, 4, 2], [1, 4, 2]], (
        f"4, eos has probability 0.4, any sentence that begins with 3 at most 0.15; you found {rows_of(sentences)}"
    )
    expected = math.log(0.4) / 2
    assert abs(scores[0].item() - expected) < 1e-4, (
        f"two words, eos counted, with log-probability log 0.4 give the score {expected:.3f}, not {scores[0].item():.3f}"
    )
