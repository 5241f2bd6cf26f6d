"""The public tests of 'Masked language modelling': run `pytest` in this folder."""

import math

import torch

from a6_masked_lm import (
    BertEmbeddings,
    BertEncoder,
    CLS,
    MASK,
    MaskedLMHead,
    PAD,
    SPECIAL,
    WORDS,
    mask_tokens,
    mlm_loss,
    pretrain,
    sample_sentences,
)


def test_two_tensors_come_back():
    """Inputs and labels come back as two new int64 tensors of the shape of the ids."""
    ids = sample_sentences(8)
    before = ids.clone()
    answer = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the inputs and the labels"
    for name, tensor in zip(("inputs", "labels"), answer):
        shape, dtype = tuple(tensor.shape), tensor.dtype
        assert shape == (8, 17), f"ids of shape (8, 17) should give {name} of the same shape, not {shape}"
        assert dtype == torch.int64, f"the {name} should be int64 like the ids, not {dtype}"
    assert torch.equal(ids, before), "the ids that were passed in have changed: make new tensors"


def test_labels_tell_what_was_there():
    """A label is -100 or the word that was there, and a token without a label stays as it is."""
    ids = sample_sentences(200)
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    selected = labels != -100
    assert selected.any(), "nothing was selected among 3200 words"
    assert torch.equal(labels[selected], ids[selected]), "a label should be the id that stood there before"
    same = inputs[~selected] == ids[~selected]
    assert same.all(), f"{(~same).sum().item()} tokens were changed that have no label"


def test_special_tokens_are_spared():
    """[CLS] and [PAD] are neither changed nor asked for."""
    ids = sample_sentences(200)
    ids[::2, 9:] = PAD
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL, p=0.9)
    special = ids <= MASK
    assert torch.equal(inputs[special], ids[special]), "a [CLS] or [PAD] was changed in the input"
    assert (labels[special] == -100).all(), "a [CLS] or [PAD] has a label other than -100"


def test_shares():
    """15 % of the words are selected; of these, 80 % show [MASK], 10 % another word, 10 % themselves."""
    ids = sample_sentences(2000)[:, 1:].reshape(-1, 40)  # rows of 40 words, of which 15 % is a whole number
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    selected = labels != -100
    share = selected.double().mean().item()
    assert 0.135 < share < 0.165, f"{share:.3f} of the words were selected, not 0.15"
    masked = (inputs[selected] == MASK).double().mean().item()
    kept = (inputs[selected] == ids[selected]).double().mean().item()
    assert 0.77 < masked < 0.83, f"{masked:.2f} of the selected words show [MASK], not 0.8"
    # a random word is the word itself once in 16 times
    assert 0.08 < kept < 0.135, f"{kept:.2f} of the selected words show themselves, not 0.1 (and a little by chance)"


def test_random_words_are_ordinary():
    """A random word is an ordinary word, and each of them is drawn."""
    ids = torch.full((200, 50), 3)
    inputs, _ = mask_tokens(ids, MASK, len(WORDS), SPECIAL, p=1.0)
    drawn = set(inputs[inputs != MASK].tolist())
    wrong = [WORDS[word] if word < len(WORDS) else word for word in sorted(drawn - set(range(3, 19)))]
    assert not wrong, f"among the random words are {wrong}"
    missing = [WORDS[word] for word in sorted(set(range(3, 19)) - drawn)]
    assert not missing, f"a thousand random words were drawn, and never {missing}"


def test_new_every_time():
    """Each call draws anew; equal generators give equal results."""
    ids = sample_sentences(20)
    first, second = (mask_tokens(ids, MASK, len(WORDS), SPECIAL)[0] for _ in range(2))
    assert not torch.equal(first, second), "two calls hid the same words"
    seeded = [
        mask_tokens(ids, MASK, len(WORDS), SPECIAL, generator=torch.Generator().manual_seed(seed))[0]
        for seed in (5, 5, 6)
    ]
    assert torch.equal(seeded[0], seeded[1]), "two generators with the same seed gave different results"
    assert not torch.equal(seeded[0], seeded[2]), "generators with different seeds gave the same result"


def test_a_loss_by_hand():
    """Two places are asked for, with probabilities 1/2 and 1/4 for the right word: the loss is the mean surprise."""
    logits = torch.tensor([[[2.0, 1.0, 1.0], [9.0, 0.0, 5.0], [0.0, 0.0, 0.0]]]).log()
    logits[0, 1] = torch.tensor([9.0, 0.0, 5.0])
    logits[0, 2] = torch.tensor([1.0, 2.0, 1.0]).log()
    loss = mlm_loss(logits, torch.tensor([[0, -100, 2]]))
    assert loss.dim() == 0, f"the loss should be a single number without dimensions, but has shape {tuple(loss.shape)}"
    expected = (math.log(2) + math.log(4)) / 2
    assert abs(loss.item() - expected) < 1e-5, f"(log 2 + log 4) / 2 is {expected:.4f}; your loss is {loss.item():.4f}"


def test_only_what_is_asked_counts():
    """Places with the label -100 have no influence and no gradient."""
    logits, labels = torch.randn(2, 5, 7), torch.full((2, 5), -100)
    labels[0, 1], labels[1, 3], labels[1, 4] = 6, 0, 2
    other = torch.where((labels == -100)[..., None], 9 * torch.randn(2, 5, 7), logits)
    logits.requires_grad_()
    loss = mlm_loss(logits, labels)
    assert torch.allclose(loss, mlm_loss(other, labels)), "other logits at places without a label changed the loss"
    loss.backward()
    assert (logits.grad[labels == -100] == 0).all(), "there is a gradient at a place that was not asked for"
    assert (logits.grad[labels != -100] != 0).all(), "there is no gradient at a place that was asked for"


def test_nothing_asked():
    """If nothing is asked for, the loss is 0 and its gradient zero, not NaN."""
    logits = torch.randn(2, 5, 7, requires_grad=True)
    loss = mlm_loss(logits, torch.full((2, 5), -100))
    assert loss.item() == 0, f"nothing is asked for, so the loss should be 0; it is {loss.item()}"
    assert loss.requires_grad, "the loss of a batch without labels is cut off from the logits, so backward() would fail"
    loss.backward()
    assert logits.grad is not None and (logits.grad == 0).all(), "the gradient should be zero everywhere"


def test_large_logits():
    """Large logits are no problem."""
    logits = torch.tensor([[[5000.0, -5000.0], [-5000.0, 4990.0]]])
    loss = mlm_loss(logits, torch.tensor([[0, 0]]))
    assert torch.allclose(loss, torch.tensor(9990 / 2)), f"the loss should be (0 + 9990) / 2 = 4995, not {loss.item()}"


def test_embeddings_are_added():
    """Each place is the normalised sum of its token, its position and its segment."""
    embeddings = BertEmbeddings(10, 6, 8)
    ids, segments = torch.tensor([[4, 7, 4], [9, 0, 1]]), torch.tensor([[0, 0, 1], [0, 1, 1]])
    got = embeddings(ids, segments)
    assert got.shape == (2, 3, 6), f"ids of shape (2, 3) and width 6 give (2, 3, 6), not {tuple(got.shape)}"
    tables = embeddings.token.weight, embeddings.position.weight, embeddings.segment.weight
    for i in range(2):
        for t in range(3):
            total = tables[0][ids[i, t]] + tables[1][t] + tables[2][segments[i, t]]
            expected = (total - total.mean()) / total.var(unbiased=False).sqrt()
            assert torch.allclose(got[i, t], expected, atol=1e-4), f"sentence {i}, position {t}: another sum than expected"


def test_segments_may_be_left_out():
    """Without segments, all tokens belong to segment 0."""
    embeddings = BertEmbeddings(10, 6, 8)
    ids = torch.tensor([[4, 7, 4]])
    same = torch.allclose(embeddings(ids), embeddings(ids, torch.zeros_like(ids)))
    assert same, "leaving out the segments should mean segment 0 everywhere"


def test_position_counts():
    """The same word at two positions gives two vectors."""
    first, second = BertEmbeddings(10, 6, 8)(torch.tensor([[4, 4]]))[0]
    assert not torch.allclose(first, second), "the position has no influence"


def test_logits_have_the_width_of_the_vocabulary():
    """There is one score for each word at each place."""
    logits = MaskedLMHead(10, 6)(torch.randn(2, 3, 6), torch.randn(10, 6))
    assert logits.shape == (2, 3, 10), f"expected logits of shape (2, 3, 10), got {tuple(logits.shape)}"


def test_the_head_uses_the_table():
    """A word's score is the dot product with its own row of the table, plus its bias."""
    head, hidden, table = MaskedLMHead(10, 6), torch.randn(2, 3, 6), torch.randn(10, 6)
    logits, doubled = head(hidden, table), head(hidden, 2 * table)
    assert torch.allclose(doubled, 2 * logits, atol=1e-5), "a table twice as large should double the scores (the bias is 0)"
    with torch.no_grad():
        head.bias[4] = 3.0
    shift = (head(hidden, table) - logits).mean(dim=(0, 1))
    assert torch.allclose(shift, torch.tensor([0.0, 0, 0, 0, 3, 0, 0, 0, 0, 0]), atol=1e-5), (
        f"a bias of 3 for word 4 should raise its score by 3 and no other; the scores rose by {shift.tolist()}"
    )


def test_the_order_in_the_head():
    """First dense, then GELU, then LayerNorm."""
    head, hidden = MaskedLMHead(6, 6), torch.randn(4, 1, 6)
    thought = head.dense(hidden)
    thought = 0.5 * thought * (1 + torch.erf(thought / math.sqrt(2)))
    centred = thought - thought.mean(dim=-1, keepdim=True)
    expected = centred / centred.square().mean(dim=-1, keepdim=True).sqrt()
    assert torch.allclose(head(hidden, torch.eye(6)), expected, atol=1e-4), (
        "with the identity as table, the logits should be LayerNorm(GELU(dense(hidden)))"
    )


def small_encoder():
    """A small encoder in evaluation mode, for the tests of this step."""
    return BertEncoder(vocab_size=19, d_model=16, num_heads=4, num_layers=2, d_hidden=32, max_length=20).eval()


def test_shapes():
    """Hidden states are (B, T, d_model), logits (B, T, vocab_size)."""
    model, ids = small_encoder(), sample_sentences(3)
    hidden, logits = model.encode(ids), model(ids)
    assert hidden.shape == (3, 17, 16), f"expected hidden states of shape (3, 17, 16), got {tuple(hidden.shape)}"
    assert logits.shape == (3, 17, 19), f"expected logits of shape (3, 17, 19), got {tuple(logits.shape)}"


def test_it_looks_both_ways():
    """A word has influence on what stands before it and on what comes after it."""
    model, ids = small_encoder(), sample_sentences(1)
    other = ids.clone()
    other[0, 8] = 3 + (ids[0, 8] - 2) % 16
    change = (model.encode(other) - model.encode(ids)).abs().amax(dim=-1)[0]
    assert (change[9:] > 1e-6).all(), "another word at position 8 changed nothing to its right"
    assert (change[:8] > 1e-6).all(), "another word at position 8 changed nothing to its left"


def test_padding_changes_nothing():
    """A sentence that is filled up with [PAD] gives the same as without."""
    model, ids = small_encoder(), sample_sentences(2)[:, :12]
    filled = torch.cat([ids, torch.full((2, 5), PAD)], dim=1)
    with torch.no_grad():
        alone, beside = model.encode(ids), model.encode(filled)[:, :12]
    assert torch.allclose(alone, beside, atol=1e-4), (
        f"five [PAD] behind the sentence changed its hidden states by up to {(alone - beside).abs().max():.2f}"
    )


def test_items_are_independent():
    """Each sentence of a batch is read by itself."""
    model, ids = small_encoder(), sample_sentences(3)
    with torch.no_grad():
        together, alone = model(ids)[1:2], model(ids[1:2])
    assert torch.allclose(together, alone, atol=1e-4), "the other sentences of the batch have an influence"


def test_the_head_is_tied():
    """The token table is input and output at once."""
    model = small_encoder()
    names = sorted(name for name, weight in model.named_parameters() if 19 in weight.shape)
    assert names == ["embeddings.token.weight", "head.bias"], f"these parameters have a row for each word: {names}"
    model(torch.tensor([[5, 6]])).square().sum().backward()
    reached = (model.embeddings.token.weight.grad != 0).any(dim=1)
    assert reached.all(), "words that are not in the sentence get no gradient: does the head use the token table?"


def test_losses_come_back():
    """One loss for each step comes back, as plain numbers."""
    losses = pretrain(small_encoder(), sample_sentences(40), MASK, len(WORDS), SPECIAL, steps=5, batch_size=32)
    assert isinstance(losses, list) and len(losses) == 5, f"expected a list of 5 losses, got {losses}"
    kinds = {type(loss).__name__ for loss in losses}
    assert kinds == {"float"}, f"the losses should be of type float, not {kinds}: see `item()`"


def test_it_learns_one_sentence_by_heart():
    """If it reads one sentence again and again, it can fill every gap in it."""
    torch.manual_seed(0)
    model, sentence = small_encoder(), torch.arange(1, 18).clamp(min=3)[None]
    sentence[0, 0] = CLS
    pretrain(model, sentence.repeat(32, 1), MASK, len(WORDS), SPECIAL, steps=120, batch_size=32, peak=0.02)
    assert not model.training, "after pretraining, the model should be in evaluation mode"
    right = 0
    for t in range(1, 17):
        gap = sentence.clone()
        gap[0, t] = MASK
        right += int(model(gap)[0, t].argmax() == sentence[0, t])
    assert right >= 14, f"it fills only {right} of 16 gaps"


def test_the_learning_rate_is_kept():
    """After one step no weight has moved further than the learning rate allows."""
    model = small_encoder()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    pretrain(model, sample_sentences(40), MASK, len(WORDS), SPECIAL, steps=1, batch_size=32, peak=1e-3)
    moved = {name: (weight - before[name]).abs().max().item() for name, weight in model.state_dict().items()}
    furthest = max(moved, key=moved.get)
    assert moved[furthest] > 5e-4, "no weight has moved: is there a step of the optimizer?"
    assert moved[furthest] < 1.1e-3, f"{furthest} moved by {moved[furthest]:.4f} in a step with learning rate 0.001"
