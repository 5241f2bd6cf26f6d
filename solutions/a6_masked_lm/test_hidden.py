"""What hides words, asks for them and learns from the answers must do: laws first, values second.

Masking is random, so its shares are compared with what chance allows: a deviation counts from six standard deviations
on, which chance exceeds once in 500 million, and so many tokens are drawn that the smallest known mistake lies twelve
away. Everything else is exact. A trained model is compared with what can be known of its language: `Language` is
drawn for each submission, its best possible losses are computed here, and the submission sees nothing but sentences.
"""

import math

import pytest
import torch
from torch.testing import assert_close

SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
ROUNDING = {SINGLE: (1e-3, 1e-4), DOUBLE: (1e-8, 1e-8), HALF: (1e-2, 1e-2), BRAIN: (6e-2, 6e-2)}
SIZES = {"vocab_size": 13, "d_model": 12, "num_heads": 3, "num_layers": 2, "d_hidden": 20, "max_length": 9}


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def close(answer, expected, rounding=None):
    """Same shape, dtype and device, and the same values within rounding."""
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def slope_is_right(loss, tensors):
    """The gradients of `tensors` promise how far a small step moves the loss. All float64; changes `tensors`."""
    before = loss()
    assert before.requires_grad, "the result is cut off from what it is computed from"
    before.backward()
    for _ in range(2):
        steps = [1e-8 * draw(tensor.device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]
        pairs = [(tensor.grad, step) for tensor, step in zip(tensors, steps, strict=True) if tensor.grad is not None]
        promised = sum(((gradient * step).sum() for gradient, step in pairs), torch.zeros_like(before))
        with torch.no_grad():
            start = loss()
            for tensor, step in zip(tensors, steps, strict=True):
                tensor.add_(step)
            close(1e8 * promised, 1e8 * (loss() - start), rounding=(1e-4, 1e-4))


# Step 1: mask_tokens


def masked(student, ids, mask_id, vocab_size, special, **options):
    """Inputs and labels, if that is what came back."""
    answer = student.mask_tokens(ids, mask_id, vocab_size, special, **options)
    assert isinstance(answer, (tuple, list)) and len(answer) == 2, "expected the pair of inputs and labels"
    inputs, labels = answer
    assert isinstance(inputs, torch.Tensor) and isinstance(labels, torch.Tensor), "expected two tensors"
    assert inputs.shape == ids.shape and labels.shape == ids.shape, f"{inputs.shape}, {labels.shape} for {ids.shape}"
    assert inputs.dtype == labels.dtype == torch.int64, f"{inputs.dtype}, {labels.dtype}"
    assert inputs.device == labels.device == ids.device
    return inputs, labels


def first_few(student, device):
    """A glance at the student's dice. A replay of the check finds at once whether it throws the same ones."""
    ids = 3 + torch.arange(6, device=device)[None]
    return masked(student, ids, 0, 9, [0, 1], p=0.5)


def vocabulary(size, special_count):
    """Special ids somewhere in the vocabulary, the first of them [MASK], and the ordinary ids, 0 and the last among them."""
    special = (4 + torch.randperm(size - 5)[:special_count]).tolist()
    return special, torch.tensor([token for token in range(size) if token not in special])


def some_of(words, *shape):
    return words[torch.randint(len(words), shape)]


def within(count, number, share, sigmas=6.0):
    """Whether `count` of `number` is what chance makes of `share`."""
    return abs(count - number * share) <= sigmas * math.sqrt(number * share * (1 - share)) + 1


def text(special, words, rows, length, others):
    """Rows of ordinary words with `others` special tokens in each, at random places."""
    ids = some_of(words, rows, length)
    places = torch.rand(rows, length).argsort(dim=1)[:, :others]
    return ids.scatter(1, places, some_of(torch.tensor(special), rows, others))


def suspect_specials(suspect, asked, special):
    """asked: the special ids that were asked for."""
    if set(asked) == set(special):
        suspect("mask-special-tokens")
    elif asked:
        suspect("mask-only-one-special")


@pytest.mark.points(1)
@pytest.mark.parametrize("p", [0.15, 1.0])
def test_mask_labels_are_the_originals(student, device, suspect, p):
    """Masking: a label is the original id where something is asked and -100 elsewhere, and what is not asked stays."""
    special, words = vocabulary(31, 3)
    ids = text(special, words, 40, 60, 10).to(device)
    inputs, labels = masked(student, ids, special[0], 31, special, p=p)
    asked = labels != -100
    assert asked.any(), "nothing is asked for"
    if asked.all() and (labels == 0).any():
        suspect("mask-unasked-labels-zero")
    elif not torch.equal(labels[asked], ids[asked]) and torch.equal(labels[asked], inputs[asked]):
        suspect("mask-labels-after-masking")
    elif not torch.equal(inputs[~asked], ids[~asked]) and (inputs[~asked] != special[0]).all():
        suspect("mask-changes-without-asking")
    elif not (inputs == special[0])[asked].any():
        one_for_most = inputs[asked].unique(return_counts=True)[1].max() > asked.sum() / 2
        suspect("mask-symbol-fixed" if one_for_most else "mask-overwritten")
    assert torch.equal(labels[asked], ids[asked]), "a label is not the original id"
    assert torch.equal(inputs[~asked], ids[~asked]), "a token without a label was changed"
    assert ((inputs >= 0) & (inputs < 31)).all(), "an input is no id of the vocabulary"
    assert (inputs[asked] == special[0]).any(), "no input is mask_id"


@pytest.mark.points(1)
def test_mask_spares_special_tokens(student, device, suspect):
    """Masking: special tokens are neither changed nor asked for, wherever they stand and whatever their ids are."""
    special, words = vocabulary(23, 5)
    ids = text(special, words, 60, 30, 12)
    ids[7] = some_of(torch.tensor(special), 30)
    ids = ids.to(device)
    inputs, labels = masked(student, ids, special[0], 23, special, p=0.9)
    spared = torch.isin(ids, torch.tensor(special, device=device))
    suspect_specials(suspect, ids[spared & (labels == ids)].unique().tolist(), special)
    assert (labels[spared] == -100).all(), "a special token is asked for"
    assert torch.equal(inputs[spared], ids[spared]), "a special token was changed"
    asked = (labels != -100).sum().item()
    assert asked > 0.5 * (~spared).sum().item(), f"only {asked} ordinary tokens were selected"
    only = ids[7:8]
    inputs, labels = masked(student, only, special[0], 23, special)
    assert torch.equal(inputs, only) and (labels == -100).all(), "a row without ordinary tokens was changed"


@pytest.mark.points(1)
@pytest.mark.cpu(15)
@pytest.mark.parametrize("p", [0.15, 0.5])
def test_mask_selects_the_right_share(student, device, suspect, p):
    """Masking: the share p of the ordinary tokens is selected, everywhere alike and in each row anew."""
    first_few(student, device)
    special, words = vocabulary(29, 4)
    rows, length, others = 2800, 48, 8
    ids = text(special, words, rows, length, others)
    inputs, labels = masked(student, ids.to(device), special[0], 29, special, p=p)
    ordinary, asked = ~torch.isin(ids, torch.tensor(special)), labels.cpu() != -100
    total, chosen = ordinary.sum().item(), asked.sum().item()
    share = chosen / total
    in_column = (asked & ordinary).sum(dim=0)
    if ((in_column == 0) | (in_column == ordinary.sum(dim=0))).all() and 0 < chosen < total:
        suspect("mask-same-columns")
        raise AssertionError("every row has the same places selected")
    if abs(share - 0.8 * p) < 0.01 * p and (inputs.cpu()[asked] == special[0]).all():
        suspect("mask-only-masked-have-labels")
    if abs(share - 0.9 * p) < 0.01 * p:
        suspect("mask-kept-have-no-labels")
    suspect_specials(suspect, ids[asked & ~ordinary].unique().tolist(), special)
    if p != 0.15 and abs(share - 0.15) < 0.01:
        suspect("mask-share-fixed")
    if (asked & ordinary).sum() == chosen and abs(share - p * length / (length - others)) < 0.04 * p:
        suspect("mask-share-of-all-tokens")
    assert within(chosen, total, p), f"a share of {share:.4f} was selected, not {p}"
    for column in range(length):
        count = ordinary[:, column].sum().item()
        found = asked[:, column].sum().item()
        assert within(found, count, p), f"of column {column}, {found} of {count} were selected"
    for word in words:
        count, found = (ids == word).sum().item(), asked[ids == word].sum().item()
        assert within(found, count, p), f"of one word, {found} of {count} were selected"
    in_row = asked.sum(dim=1).double()
    assert in_row.var() < 1.5 * 40 * p * (1 - p), f"the selected places of a row hang together: {in_row.var():.1f}"
    if p < 1:  # of two words, a rounded number is none at all
        _, labels = masked(student, some_of(words, 4000, 2).to(device), special[0], 29, special, p=p)
        share = (labels != -100).double().mean().item()
        if abs(share - 0.5) < 0.02:
            suspect("mask-at-least-one")
        assert share < p + 0.04, f"a share of {share:.3f} of very short rows was selected, not {p}"
    pairs = ordinary[:, 1:] & ordinary[:, :-1]
    both = (asked[:, 1:] & asked[:, :-1]).sum().item() / pairs.sum().item()
    assert abs(both - p * p) < 0.12 * p, f"neighbours are selected together: {both:.4f} instead of {p * p:.4f}"


@pytest.mark.points(1.5)
@pytest.mark.cpu(15)
def test_mask_80_10_10(student, device, suspect):
    """Masking: of the selected tokens 80 % show [MASK], 10 % a random word and 10 % themselves, wherever they stand."""
    first_few(student, device)
    special, words = vocabulary(1000, 3)
    ids = some_of(words, 1200, 150)
    inputs, labels = masked(student, ids.to(device), special[0], 1000, special, p=1.0)
    inputs, asked = inputs.cpu(), labels.cpu() != -100
    total = asked.sum().item()
    assert within(total, ids.numel(), 0.9999, sigmas=20), f"with p = 1, {total} of {ids.numel()} were selected"
    hidden, kept = (inputs == special[0]) & asked, (inputs == ids) & asked
    other = asked & ~hidden & ~kept
    shares = [part.sum().item() / total for part in (hidden, other, kept)]
    known = (
        ("mask-always-mask", (1, 0, 0)), ("mask-ten-percent-of-the-rest", (0.8, 0.02, 0.18)),
        ("mask-independent-draws", (0.81, 0.1, 0.09)), ("mask-never-random", (0.8, 0, 0.2)),
        ("mask-never-kept", (0.8, 0.2, 0)), ("mask-never-kept", (0.9, 0.1, 0)),
        ("mask-shares-swapped", (0.1, 0.8, 0.1)), ("mask-overwritten", (0, 0.9, 0.1)),
        ("mask-overwritten", (0.4, 0.5, 0.1)), ("mask-overwritten", (0.72, 0.1, 0.18)),
    )  # fmt: skip
    for mistake, expected in known:
        if all(abs(share - wanted) < 0.004 for share, wanted in zip(shares, expected, strict=True)):
            suspect(mistake)
    by_chance = 1 / len(words)  # a random word may be the word itself
    wanted = (0.8, 0.1 * (1 - by_chance), 0.1 * (1 + by_chance))
    for share, right, what in zip(shares, wanted, ("[MASK]", "another word", "itself"), strict=True):
        assert abs(share - right) < 6 * math.sqrt(right * (1 - right) / total) + 2e-4, f"{share:.4f} show {what}"
    for places in (*((slice(None), column) for column in range(0, 150, 10)), slice(0, 300), slice(900, 1200)):
        number = asked[places].sum().item()
        for part, right in zip((hidden, other, kept), wanted, strict=True):
            found = part[places].sum().item()
            assert within(found, number, right, 6.5), f"the shares depend on the place: {found} of {number} at {places}"
    inputs, labels = masked(student, ids.to(device), special[0], 1000, special, p=0.15)
    inputs, asked = inputs.cpu(), labels.cpu() != -100
    if asked.all() and (labels == 0).any():
        suspect("mask-unasked-labels-zero")
    elif (inputs[asked] == special[0]).all():
        suspect("mask-one-throw-for-both")
    number, hidden, kept = asked.sum().item(), (inputs == special[0]) & asked, (inputs == ids) & asked
    for part, right in zip((hidden, asked & ~hidden & ~kept, kept), wanted, strict=True):
        assert within(part.sum().item(), number, right, 6.5), "the shares depend on p"


@pytest.mark.points(1)
@pytest.mark.cpu(15)
def test_mask_random_words_are_uniform(student, device, suspect):
    """Masking: a random word is any ordinary word of the vocabulary with the same probability, drawn for each place."""
    first_few(student, device)
    special, words = vocabulary(24, 4)
    present = words[torch.randperm(20)[:10]]
    ids = some_of(present, 2000, 40)
    inputs, labels = masked(student, ids.to(device), special[0], 24, special, p=1.0)
    inputs, asked = inputs.cpu(), labels.cpu() != -100
    other = asked & (inputs != special[0]) & (inputs != ids)
    drawn = inputs[other]
    if torch.isin(drawn, torch.tensor(special[1:])).any():
        suspect("mask-random-specials")
    assert not torch.isin(drawn, torch.tensor(special)).any(), "a random word is a special token"
    if drawn.numel() and len(drawn.unique()) == 1:
        suspect("mask-one-random-word")
    elif drawn.numel() and torch.isin(drawn, present).all():
        suspect("mask-words-of-the-batch")
    elif drawn.numel() and len(drawn.unique()) == 19 and not (drawn == words[-1]).any():
        suspect("mask-last-word-never-drawn")
    number = asked.sum().item()
    for word in words:
        found = (drawn == word).sum().item()
        eligible = number - (ids == word).sum().item()
        assert abs(found - eligible * 0.1 / 20) < 6.5 * math.sqrt(eligible * 0.1 / 19), (
            f"one word was drawn {found} times, not about {eligible * 0.1 / 20:.0f}"
        )
    assert other.any(dim=0).all(), "in some columns no word is ever exchanged"
    pairs = other[:, 1:] & other[:, :-1]
    equal = (inputs[:, 1:] == inputs[:, :-1])[pairs].double().mean().item()
    assert equal < 0.25, f"neighbouring random words are the same in {equal:.2f} of all cases"
    special, words = [1, 2, 0, 4], torch.tensor([3, 5])
    ids = some_of(words, 1000, 20)
    inputs, _ = masked(student, ids.to(device), special[0], 6, special, p=1.0)
    itself = (inputs.cpu() == ids).sum().item()
    if within(itself, ids.numel(), 0.1):
        suspect("mask-random-word-never-itself")
    assert within(itself, ids.numel(), 0.15), f"of two words, {itself / ids.numel():.3f} show themselves, not 0.15"


@pytest.mark.points(0.5)
def test_mask_is_drawn_anew(student, device, suspect):
    """Masking: each call hides other words, in other ways."""
    special, words = vocabulary(31, 3)
    ids = some_of(words, 20, 40).to(device)
    seen = []
    for p in (0.15, 1.0):
        for _ in range(2):
            torch.rand(1)  # so that the numbers here go on as those there do
            seen.append(masked(student, ids, special[0], 31, special, p=p))
    if torch.equal(seen[0][1], seen[1][1]) and torch.equal(seen[0][0], seen[1][0]):
        suspect("mask-seeded-inside")
    assert not torch.equal(seen[0][1], seen[1][1]), "two calls selected the same places"
    assert not torch.equal(seen[2][0], seen[3][0]), "two calls did the same to the selected places"


@pytest.mark.points(0.5)
def test_mask_follows_its_generator(student, suspect):
    """Masking: with a generator every random number comes from it, so equal generators give equal results."""
    special, words = vocabulary(31, 3)
    ids = some_of(words, 20, 40)
    try:
        make = student.torch.Generator
    except AttributeError:
        return  # no torch under its own name there, so no generator can be made for it
    seen = []
    for seed in (11, 11, 12):
        torch.rand(1)
        generator = make().manual_seed(seed)
        seen.append(masked(student, ids, special[0], 31, special, p=0.5, generator=generator))
    same = seen[0][1] == seen[1][1], seen[0][0] == seen[1][0]
    if not same[0].all():
        suspect("mask-generator-ignored")
    elif (same[1] | ((seen[0][0] != special[0]) & (seen[1][0] != special[0]))).all():
        suspect("mask-generator-not-for-words")
    assert torch.equal(seen[0][1], seen[1][1]), "equal generators selected other places"
    assert torch.equal(seen[0][0], seen[1][0]), "equal generators gave other inputs"
    assert not torch.equal(seen[0][1], seen[2][1]), "the seed of the generator has no influence"


@pytest.mark.points(0.5)
@pytest.mark.parametrize("p", [0.15, 1.0])
def test_mask_leaves_the_ids_alone(student, device, changed_arguments, suspect, p):
    """Masking: the ids that are passed in stay as they are, and may be a view."""
    special, words = vocabulary(31, 3)
    ids = text(special, words, 30, 24, 5).to(device)
    for view in (ids.T, ids[:, ::2], ids[:1].expand(6, 24)):
        inputs, labels = masked(student, view, special[0], 31, special, p=p)
        asked = labels != -100
        if changed_arguments:
            suspect("mask-changes-the-ids")
        assert torch.equal(labels[asked], view[asked]) and torch.equal(inputs[~asked], view[~asked])
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
def test_mask_takes_sizes_of_one(student, device):
    """Masking: a batch of one, a length of one, and both."""
    special, words = vocabulary(11, 2)
    for shape in ((1, 1), (1, 30), (30, 1)):
        ids = some_of(words, *shape).to(device)
        inputs, labels = masked(student, ids, special[0], 11, special, p=1.0)
        assert torch.equal(labels, ids), "with p = 1 every word is asked for"
        lone = torch.full(shape, special[1], device=device)
        inputs, labels = masked(student, lone, special[0], 11, special)
        assert torch.equal(inputs, lone) and (labels == -100).all(), "a special token was changed or asked for"


@pytest.mark.points(0.5)
@pytest.mark.last
def test_mask_works_on_another_device(student, suspect):
    """Masking: everything that it creates is where the ids are."""
    special, words = vocabulary(31, 3)
    ids = some_of(words, 6, 9)
    masked(student, ids, special[0], 31, special)
    found = student.mask_tokens.on_another_device(ids, special[0], 31, special)
    if found:
        suspect("mask-on-the-cpu")
    assert not found, found


# Step 2: mlm_loss


def asked_somewhere(device, shape=(4, 6), words=9):
    """Logits and labels with another number of labels in each row, none in the last, the id 0 among them."""
    labels = torch.full(shape, -100)
    for row in range(shape[0] - 1):
        places = torch.randperm(shape[1])[: row + 1 if row else 3]
        labels[row, places] = torch.randint(words, (len(places),))
    labels[0, labels[0].argmax()] = 0
    return 2 * draw(device, *shape, words), labels.to(device)


def scalar(loss):
    assert isinstance(loss, torch.Tensor) and loss.dim() == 0, "the loss should be a tensor without dimensions"
    return loss


@pytest.mark.points(1)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
def test_loss_is_the_mean_surprise(student, reference, device, dtype):
    """Loss: it is the mean of -log of the right word's probability over the places that are asked for."""
    logits, labels = asked_somewhere(device)
    logits = logits.to(dtype)
    loss = scalar(student.mlm_loss(logits, labels))
    close(loss, reference.mlm_loss(logits, labels))


@pytest.mark.points(0.5)
def test_loss_asks_nothing_else(student, device):
    """Loss: places with the label -100 have no influence, and their gradient is zero; the id 0 is a word like any."""
    logits, labels = asked_somewhere(device)
    asked = labels != -100
    other = torch.where(asked[..., None], logits, 50 * draw(device, *logits.shape))
    logits.requires_grad_()
    loss = scalar(student.mlm_loss(logits, labels))
    close(scalar(student.mlm_loss(other, labels)), loss.detach())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[~asked] == 0).all(), "a place that is not asked for has a gradient"
    assert (gradient[asked] != 0).any(dim=-1).all(), "a place that is asked for has no gradient"


@pytest.mark.points(0.5)
def test_loss_has_the_right_gradient(student, device):
    """Loss: its gradient agrees with finite differences."""
    logits, labels = asked_somewhere(device)
    logits = logits.double().requires_grad_()
    slope_is_right(lambda: scalar(student.mlm_loss(logits, labels)), [logits])


@pytest.mark.points(0.5)
def test_loss_of_nothing_is_zero(student, device):
    """Loss: where nothing is asked for, it is 0 and its gradient is zero, never NaN."""
    logits = draw(device, 3, 4, 7).requires_grad_()
    loss = scalar(student.mlm_loss(logits, torch.full((3, 4), -100, device=device)))
    assert loss.item() == 0, f"the loss of nothing is {loss.item()}"
    assert loss.requires_grad, "the loss is cut off from the logits, so that backward() fails"
    (gradient,) = torch.autograd.grad(loss, logits, allow_unused=True)
    assert gradient is None or (gradient == 0).all(), "the gradient is not zero"
    labels = torch.full((3, 4), -100, device=device)
    labels[1, 2] = 5
    alone = scalar(student.mlm_loss(logits, labels))
    close(alone.detach(), -logits[1, 2].detach().log_softmax(dim=-1)[5])


@pytest.mark.points(0.5)
def test_loss_survives_large_logits(student, device):
    """Loss: logits in the thousands, of either sign, give the loss that their differences give."""
    logits, labels = asked_somewhere(device)
    logits = (logits * 8).round() / 8
    shift = torch.tensor([4000.0, -4000.0, 1000.0, 0.0], device=device)[:, None, None]
    plain = scalar(student.mlm_loss(logits, labels))
    close(scalar(student.mlm_loss(logits + shift, labels)), plain)
    far = torch.zeros(1, 2, 5, device=device)
    far[..., 3] = 6000.0
    loss = scalar(student.mlm_loss(far, torch.tensor([[3, 1]], device=device)))
    close(loss, torch.tensor(3000.0, device=device))


@pytest.mark.points(0.5)
@pytest.mark.parametrize("dtype", [HALF, BRAIN], ids=str)
def test_loss_keeps_the_dtype(student, device, dtype):
    """Loss: float16 and bfloat16 logits give a loss of the same dtype."""
    for _ in range(4):
        logits, labels = asked_somewhere(device)
        logits = (3 * logits).clamp(-8, 8).to(dtype)  # exp() of these fits into float16
        loss = scalar(student.mlm_loss(logits, labels))
        assert loss.dtype == dtype, f"{dtype} became {loss.dtype}"
        picked = -logits.double().log_softmax(dim=-1)[labels != -100].gather(1, labels[labels != -100][:, None])
        close(loss.double(), picked.mean(), ROUNDING[dtype])
    nothing = scalar(student.mlm_loss(logits, torch.full_like(labels, -100)))
    assert nothing.item() == 0, "the loss of nothing is not 0"


@pytest.mark.points(0.5)
def test_loss_takes_views_and_leaves_them(student, device, changed_arguments):
    """Loss: transposed and sliced arguments are as good as any, sizes of 1 too, and nothing is changed in place."""
    logits, labels = asked_somewhere(device)
    plain = scalar(student.mlm_loss(logits.clone(), labels.clone()))
    turned = logits.transpose(0, 2).contiguous().transpose(0, 2)
    wide = labels.repeat_interleave(2, dim=1)[:, ::2]
    close(scalar(student.mlm_loss(turned, wide)), plain)
    one = draw(device, 1, 1, 5)
    close(scalar(student.mlm_loss(one, torch.tensor([[2]], device=device))), -one.log_softmax(dim=-1)[0, 0, 2])
    assert not changed_arguments, changed_arguments


# Step 3: BertEmbeddings


def embedding_weights(vocab_size, d_model, max_length):
    return {
        "token.weight": torch.randn(vocab_size, d_model, dtype=DOUBLE),
        "position.weight": torch.randn(max_length, d_model, dtype=DOUBLE),
        "segment.weight": torch.randn(2, d_model, dtype=DOUBLE),
        "norm.weight": 1 + 0.4 * torch.randn(d_model, dtype=DOUBLE),
        "norm.bias": 0.4 * torch.randn(d_model, dtype=DOUBLE),
    }


def made(kind, device, dtype, weights, *sizes, **options):
    """An instance of a class with these weights, on the device, in evaluation mode."""
    module = kind(*sizes, **options).to(device)
    if dtype != SINGLE:
        module.to(dtype)
    placed = {name: weight.to(device, dtype) for name, weight in weights.items()}
    getattr(module, "load_weights", module.load_state_dict)(placed)
    module.eval()
    return module


def draw_ids(device, *shape, words=13):
    """Ids without the 0, which is the padding."""
    return torch.randint(1, words, shape).to(device)


@pytest.mark.points(1)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_embeddings_agree_with_the_reference(student, reference, device, dtype):
    """Embeddings: values are right for given tables, with segments and without, for any length."""
    weights = embedding_weights(13, 10, 9)
    mine = made(student.BertEmbeddings, device, dtype, weights, 13, 10, 9)
    for length in (9, 5):
        ids, segments = draw_ids(device, 4, length), torch.randint(2, (4, length)).to(device)
        answers = mine(ids, segments), mine(ids)
        theirs = made(reference.BertEmbeddings, device, dtype, weights, 13, 10, 9)
        for answer, expected in zip(answers, (theirs(ids, segments), theirs(ids)), strict=True):
            close(answer, expected)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_embeddings_read_all_tables(student, device):
    """Embeddings: words, positions and segments all count, each at its own place alone; left out means segment 0."""
    mine = made(student.BertEmbeddings, device, DOUBLE, embedding_weights(13, 10, 9), 13, 10, 9)
    ids = torch.tensor([[4, 4, 7, 4], [7, 4, 7, 7]], device=device)
    plain = mine(ids)
    assert plain.shape == (2, 4, 10)
    close(mine(ids, torch.zeros_like(ids)), plain)
    close(plain[0, 1:3], plain[1, 1:3])
    assert not torch.allclose(plain[0, 0], plain[0, 1]), "the position does not count"
    assert not torch.allclose(plain[0, 0], plain[1, 0]), "the word does not count"
    segments = torch.zeros_like(ids)
    segments[0, 2] = 1
    differs = (mine(ids, segments) != plain).any(dim=-1)
    assert torch.equal(differs, segments.bool()), "a segment counts elsewhere than at its place"
    close(mine(ids[1:]), plain[1:])


@pytest.mark.points(0.5)
def test_embeddings_pass_gradients_on(student, device):
    """Embeddings: the gradients of all tables and of the norm agree with finite differences."""
    mine = made(student.BertEmbeddings, device, DOUBLE, embedding_weights(7, 6, 5), 7, 6, 5)
    ids, segments = draw_ids(device, 3, 5, words=7), torch.randint(2, (3, 5)).to(device)
    factors = draw(device, 3, 5, 6, dtype=DOUBLE)
    slope_is_right(lambda: (mine(ids, segments) * factors).sum(), list(mine.parameters()))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_embeddings_drop_out_in_training(student, device):
    """Embeddings: dropout comes last, in training mode only."""
    mine = made(student.BertEmbeddings, device, SINGLE, embedding_weights(13, 24, 9), 13, 24, 9, dropout=0.4)
    ids = draw_ids(device, 30, 8)
    calm = mine(ids)
    close(mine(ids), calm)
    assert (calm != 0).all(), "something is dropped in evaluation mode"
    mine.train()
    wild = mine(ids)
    dropped = wild == 0
    assert within(dropped.sum().item(), dropped.numel(), 0.4), f"dropped: {dropped.double().mean().item():.3f}"
    close(wild[~dropped], calm[~dropped] / 0.6)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_embeddings_normalise_what_is_small(student, device):
    """Embeddings: the eps of the LayerNorm is 1e-12, so that even tiny tables are brought to size."""
    weights = {name: 1e-4 * weight for name, weight in embedding_weights(13, 10, 9).items()}
    weights |= {"norm.weight": torch.ones(10, dtype=DOUBLE), "norm.bias": torch.zeros(10, dtype=DOUBLE)}
    answer = made(student.BertEmbeddings, device, DOUBLE, weights, 13, 10, 9)(draw_ids(device, 4, 6))
    assert answer.shape == (4, 6, 10)
    close(answer.mean(dim=-1), torch.zeros(4, 6, dtype=DOUBLE, device=device), (1e-3, 1e-3))
    close(answer.square().mean(dim=-1), torch.ones(4, 6, dtype=DOUBLE, device=device), (1e-2, 1e-2))


@pytest.mark.points(0.5)
@pytest.mark.last
def test_embeddings_work_on_another_device(student):
    """Embeddings: everything that they create is where the ids are."""
    here = torch.device("cpu")
    mine = made(student.BertEmbeddings, here, SINGLE, embedding_weights(13, 10, 9), 13, 10, 9)
    ids = draw_ids(here, 4, 6)
    with torch.no_grad():
        assert mine(ids).shape == (4, 6, 10)
    found = mine.on_another_device(ids)
    assert not found, found


# Step 4: MaskedLMHead


def head_weights(vocab_size, d_model):
    return {
        "dense.weight": torch.randn(d_model, d_model, dtype=DOUBLE) / d_model**0.5,
        "dense.bias": 0.4 * torch.randn(d_model, dtype=DOUBLE),
        "norm.weight": 1 + 0.4 * torch.randn(d_model, dtype=DOUBLE),
        "norm.bias": 0.4 * torch.randn(d_model, dtype=DOUBLE),
        "bias": torch.randn(vocab_size, dtype=DOUBLE),
    }


@pytest.mark.points(1)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_head_agrees_with_the_reference(student, reference, device, dtype):
    """Head: dense, exact GELU, LayerNorm, then the table that it is given, and the bias."""
    weights = head_weights(13, 10)
    hidden, table = draw(device, 3, 5, 10, dtype=dtype), draw(device, 13, 10, dtype=dtype)
    answer = made(student.MaskedLMHead, device, dtype, weights, 13, 10)(hidden, table)
    close(answer, made(reference.MaskedLMHead, device, dtype, weights, 13, 10)(hidden, table))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_head_reads_the_table_it_is_given(student, device):
    """Head: each word's score depends on its own row of the table, and its bias raises that score alone."""
    weights = head_weights(13, 13)
    head = made(student.MaskedLMHead, device, DOUBLE, weights, 13, 13)
    hidden, table = draw(device, 2, 4, 13, dtype=DOUBLE), draw(device, 13, 13, dtype=DOUBLE)
    plain = head(hidden, table)
    other = table.clone()
    other[5] *= -1
    changed = head(hidden, other)
    bias = weights["bias"].to(device)
    close(changed[..., 5] - bias[5], bias[5] - plain[..., 5])
    close(changed[..., :5], plain[..., :5])
    close(changed[..., 6:], plain[..., 6:])
    close(head(hidden, 0 * table), bias.expand(2, 4, 13))


@pytest.mark.points(0.5)
def test_head_passes_gradients_on(student, device):
    """Head: the gradients of hidden states, table and all its parameters agree with finite differences."""
    head = made(student.MaskedLMHead, device, DOUBLE, head_weights(7, 6), 7, 6)
    hidden, table = (draw(device, *shape, dtype=DOUBLE).requires_grad_() for shape in ((2, 3, 6), (7, 6)))
    factors = draw(device, 2, 3, 7, dtype=DOUBLE)
    slope_is_right(lambda: (head(hidden, table) * factors).sum(), [hidden, table, *head.parameters()])
    for given in (hidden, table):
        assert given.grad is not None and (given.grad != 0).any(), "no gradient arrives at what the head is given"


# Step 5: BertEncoder


def encoder_weights(vocab_size, d_model, num_layers, d_hidden, max_length, deviation=0.4):
    """Weights with which attention is neither flat nor saturated, by the prescribed names."""
    shapes = {
        "self_attn.in_proj_weight": (3 * d_model, d_model), "self_attn.in_proj_bias": (3 * d_model,),
        "self_attn.out_proj.weight": (d_model, d_model), "self_attn.out_proj.bias": (d_model,),
        "linear1.weight": (d_hidden, d_model), "linear1.bias": (d_hidden,),
        "linear2.weight": (d_model, d_hidden), "linear2.bias": (d_model,),
        "norm1.weight": (d_model,), "norm1.bias": (d_model,), "norm2.weight": (d_model,), "norm2.bias": (d_model,),
    }  # fmt: skip
    weights = {f"embeddings.{name}": w for name, w in embedding_weights(vocab_size, d_model, max_length).items()}
    weights |= {f"head.{name}": weight for name, weight in head_weights(vocab_size, d_model).items()}
    for layer in range(num_layers):
        for name, shape in shapes.items():
            drawn = deviation * torch.randn(shape, dtype=DOUBLE)
            weights[f"layers.{layer}.{name}"] = 1 + drawn if name in ("norm1.weight", "norm2.weight") else drawn
    return weights


def encoder(kind, device, dtype=SINGLE, weights=None, **options):
    sizes = [SIZES[name] for name in ("vocab_size", "d_model", "num_layers", "d_hidden", "max_length")]
    return made(kind.BertEncoder, device, dtype, weights or encoder_weights(*sizes), **SIZES, **options)


@pytest.mark.points(1)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_encoder_agrees_with_the_reference(student, reference, device, dtype):
    """Encoder: hidden states and logits are right for given weights."""
    weights = encoder_weights(13, 12, 2, 20, 9)
    ids, segments = draw_ids(device, 3, 7), torch.randint(2, (3, 7)).to(device)
    ids[1, 5:] = 0
    mine = encoder(student, device, dtype, weights)
    answers = [f(*given) for given in ((ids,), (ids, segments)) for f in (mine.encode, mine)]
    theirs = encoder(reference, device, dtype, weights)
    expected = [f(*given) for given in ((ids,), (ids, segments)) for f in (theirs.encode, theirs)]
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.shape == wanted.shape and answer.dtype == wanted.dtype, f"{answer.shape}, {answer.dtype}"
        close(answer[ids != 0], wanted[ids != 0])


@pytest.mark.points(1)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@pytest.mark.parametrize("pad", [0, 6])
@torch.no_grad()
def test_encoder_never_looks_at_padding(student, device, pad):
    """Encoder: padding is never looked at, wherever it stands, and filling up a sentence changes nothing."""
    weights = encoder_weights(13, 12, 2, 20, 9)
    mine = encoder(student, device, DOUBLE, weights, pad_id=pad)
    ids = 7 + draw_ids(device, 3, 8, words=6)
    ids[0, 6:], ids[1, :3], ids[2, [1, 4]] = pad, pad, pad
    real = ids != pad
    before = mine.encode(ids), mine(ids)
    other = {name: weight.clone() for name, weight in weights.items()}
    other["embeddings.token.weight"][pad] = 9 * torch.randn(12, dtype=DOUBLE)
    after = encoder(student, device, DOUBLE, other, pad_id=pad).encode(ids)
    assert before[0].isfinite()[real].all(), "NaN"
    close(after[real], before[0][real])
    learning = encoder(student, device, DOUBLE, weights, pad_id=pad, dropout=0.0).train()
    close(learning.encode(ids)[real], before[0][real])
    close(mine.encode(ids[:1, :6]), before[0][:1, :6])
    close(mine(ids[:1, :6]), before[1][:1, :6])
    whole = 8 + draw_ids(device, 1, 8, words=5)
    whole[0, -1] = 7  # nowhere else
    other["embeddings.token.weight"][whole[0, -1]] = 9 * torch.randn(12, dtype=DOUBLE)
    moved = encoder(student, device, DOUBLE, other, pad_id=pad).encode(whole)
    assert not torch.allclose(moved[:, 0], mine.encode(whole)[:, 0]), "a real token is not looked at"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@torch.no_grad()
def test_encoder_sees_both_sides(student, device):
    """Encoder: every token has influence on every place, before it and behind it."""
    mine = encoder(student, device, DOUBLE)
    ids = 1 + torch.randperm(12)[:7][None].to(device)
    plain = mine.encode(ids), mine(ids)
    assert plain[0].shape == (1, 7, 12) and plain[1].shape == (1, 7, 13)
    for place in (0, 3, 6):
        other = ids.clone()
        other[0, place] = 1 + ids[0, place] % 12
        for answer, before in zip((mine.encode(other), mine(other)), plain, strict=True):
            moved = (answer - before).abs().amax(dim=-1)[0]
            assert (moved > 1e-9).all(), f"the token at {place} counts only at {(moved > 1e-9).nonzero().flatten().tolist()}"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@torch.no_grad()
def test_encoder_reads_each_sentence_alone(student, device):
    """Encoder: sentences of a batch do not influence one another; a batch of one and a length of one are fine."""
    mine = encoder(student, device, DOUBLE)
    ids = draw_ids(device, 4, 6)
    together = mine.encode(ids), mine(ids)
    close(mine.encode(ids[2:3]), together[0][2:3])
    close(mine(ids[1:3].flip(0)), together[1][1:3].flip(0))
    single = mine.encode(ids[:, :1]), mine(ids[:1, :1])
    assert single[0].shape == (4, 1, 12) and single[1].shape == (1, 1, 13)
    turned = ids.T.contiguous().T
    close(mine(turned), together[1])


@pytest.mark.points(1)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
def test_encoder_head_is_tied(student, device):
    """Encoder: the head uses the token table of the embeddings, so one parameter learns from both ends."""
    weights = encoder_weights(13, 12, 2, 20, 9)
    mine = encoder(student, device, DOUBLE, weights)
    count = sum(parameter.numel() for parameter in mine.parameters())
    wanted = sum(weight.numel() for weight in weights.values())
    assert count == wanted, f"{count} parameters where {wanted} are prescribed"
    ids = torch.tensor([[3, 8, 3, 5]], device=device)
    other = {name: weight.clone() for name, weight in weights.items()}
    other["embeddings.token.weight"][10] += 1  # a word that is not in the sentence
    with torch.no_grad():
        moved = encoder(student, device, DOUBLE, other)(ids) - mine(ids)
    assert (moved[..., 10].abs() > 1e-9).all(), "another embedding of a word does not change its score"
    assert (moved[..., [9, 11, 12]].abs() < 1e-9).all(), "the scores of other words changed too"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
def test_encoder_has_the_right_gradients(student, device):
    """Encoder: the gradients of all parameters agree with finite differences, those of the tied table too."""
    mine = encoder(student, device, DOUBLE)
    ids, factors = draw_ids(device, 2, 4), draw(device, 2, 4, 13, dtype=DOUBLE)
    parameters = list(mine.parameters())
    slope_is_right(lambda: (mine(ids) * factors).sum(), parameters)
    without = [tuple(p.shape) for p in parameters if p.grad is None or not (p.grad != 0).any()]
    assert not without, f"no gradient arrives at parameters of the shapes {without}"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@torch.no_grad()
def test_encoder_drops_out_in_training_alone(student, device):
    """Encoder: two readings differ in training mode and agree in evaluation mode, with and without dropout."""
    ids = draw_ids(device, 3, 6)
    calm = encoder(student, device)(ids)
    mine = encoder(student, device, dropout=0.3)
    close(mine(ids), mine(ids))
    mine.train()
    torch.rand(1)
    one = mine(ids)
    torch.rand(1)
    assert not torch.allclose(mine(ids), one), "two readings in training mode agree to the last digit"
    mine.eval()
    assert mine(ids).shape == calm.shape


@pytest.mark.points(0.5)
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
@torch.no_grad()
def test_encoder_keeps_dtype_and_state(student, device, changed_arguments):
    """Encoder: bfloat16 stays bfloat16, a saved state makes another model the same, and ids are not changed."""
    first, second = encoder(student, device), encoder(student, device)
    ids = draw_ids(device, 3, 6)
    ids[1, 4:] = 0
    second.load_state_dict(first.state_dict())
    close(second(ids)[ids != 0], first(ids)[ids != 0])
    first.to(BRAIN)
    logits = first(ids)
    assert logits.dtype == BRAIN and logits[ids != 0].isfinite().all(), f"{logits.dtype}"
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.last
@pytest.mark.stand_in("BertEmbeddings", "MaskedLMHead")
def test_encoder_works_on_another_device(student, device):
    """Encoder: everything that it creates is where the ids are, from the positions to the mask."""
    mine = encoder(student, torch.device("cpu"))
    ids = draw_ids(torch.device("cpu"), 3, 6)
    with torch.no_grad():
        assert mine(ids).shape == (3, 6, 13)
    found = mine.on_another_device(ids)
    assert not found, found


# Step 6: pretrain


def blind_model(student, device, vocab_size, pad_id, dtype=SINGLE):
    """A model that can't learn anything but the bias of its head: what it is asked for, and no more.

    The token table and the norm of the head are zero, so the logits are the bias and every other gradient is zero.
    """
    sizes = {"d_model": 8, "num_heads": 2, "num_layers": 1, "d_hidden": 12, "max_length": 32}
    weights = encoder_weights(vocab_size, 8, 1, 12, 32)
    for name in ("embeddings.token.weight", "head.norm.weight", "head.norm.bias", "head.bias"):
        weights[name] = torch.zeros_like(weights[name])
    return made(student.BertEncoder, device, dtype, weights, vocab_size, **sizes, pad_id=pad_id)


def trained(student, model, sequences, mask_id, vocab_size, special, **options):
    """The losses, as plain numbers."""
    with torch.no_grad():
        losses = student.pretrain(model, sequences, mask_id, vocab_size, special, **options)
    assert isinstance(losses, (list, tuple)), f"expected a list of losses, got {type(losses).__name__}"
    assert len(losses) == options["steps"], f"{len(losses)} losses for {options['steps']} steps"
    return [float(loss) for loss in losses]


def learnt_bias(model, device):
    with torch.no_grad():
        return model(torch.zeros(1, 2, dtype=torch.int64, device=device))[0, 1]


def suspect_idleness(suspect, moved, losses):
    """The model is as it was. If the losses tell of learning all the same, another one has learnt."""
    if not moved:
        suspect("pretrain-trains-a-copy" if max(losses) - min(losses) > 1e-3 else "pretrain-never-steps")


def leaves_out_the_first_ids(above):
    """above: how far the bias of each ordinary id that was read, in order, lies above that of one never asked for.

    The ids 0, 1 and 2 are special in the notebook and ordinary words here.
    """
    return (above[:3].abs() < 1e-4).all() and (above[3:] > 0.01).all()


def rates(steps, peak):
    warmup = max(1, steps // 10)
    rising = [peak * step / warmup for step in range(1, warmup + 1)]
    falling = [(step - warmup) / (steps - warmup) for step in range(warmup + 1, steps + 1)]
    return rising + [peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2) for done in falling]


STEPS_BEFORE = ("mask_tokens", "mlm_loss", "BertEmbeddings", "MaskedLMHead", "BertEncoder")


@pytest.mark.points(1.5)
@pytest.mark.stand_in(*STEPS_BEFORE)
def test_pretraining_follows_the_recipe(student, device):
    """Pretraining: step by step, losses fall as AdamW makes them fall with the prescribed learning rates."""
    special, words = vocabulary(17, 3)
    word, steps, peak = words[5].item(), 60, 0.1
    model = blind_model(student, device, 17, special[1], DOUBLE)
    sequences = torch.full((30, 20), word, device=device)
    losses = trained(student, model, sequences, special[0], 17, special, steps=steps, batch_size=20, peak=peak)
    learnt = learnt_bias(model, device)
    expected = [by_the_recipe(word, steps, peak, decay) for decay in (0.01, 0.0)]  # whether biases decay is free
    right, bias = min(expected, key=lambda pair: abs(pair[0][-1] - losses[-1]))
    for step, (mine, wanted) in enumerate(zip(losses, right, strict=True), 1):
        assert abs(mine - wanted) < 0.01 * wanted, f"in step {step} the loss is {mine:.4f}, not {wanted:.4f}"
    close(learnt, bias.to(device), (1e-2, 1e-2))


def by_the_recipe(word, steps, peak, decay):
    """The losses of a bias that is asked for one word of 17 again and again, and the bias in the end."""
    bias = torch.zeros(17, dtype=DOUBLE, requires_grad=True)
    optimizer = torch.optim.AdamW([bias], lr=peak, betas=(0.9, 0.98), weight_decay=decay)
    losses = []
    for rate in rates(steps, peak):
        loss = -bias.log_softmax(dim=0)[word]
        (bias.grad,) = torch.autograd.grad(loss, bias)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        losses.append(loss.item())
    return losses, bias.detach()


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*STEPS_BEFORE)
def test_pretraining_returns_plain_numbers(student, device, changed_arguments):
    """Pretraining: one plain number for each step comes back, and the sequences are not changed."""
    special, words = vocabulary(17, 3)
    model = blind_model(student, device, 17, special[1])
    with torch.no_grad():
        losses = student.pretrain(
            model, some_of(words, 12, 10).to(device), special[0], 17, special, steps=4, batch_size=8
        )
    assert isinstance(losses, list), f"expected a list, got {type(losses).__name__}"
    assert all(type(loss) is float for loss in losses), f"expected floats, got {losses}"
    assert len(losses) == 4, f"{len(losses)} losses for 4 steps"
    assert not changed_arguments, changed_arguments


@pytest.mark.points(1)
@pytest.mark.stand_in(*STEPS_BEFORE)
@pytest.mark.cpu(15)
def test_pretraining_hides_other_words_each_time(student, device, suspect):
    """Pretraining: a sentence that is read again has other words hidden, so that in the end all were asked for."""
    first_few(student, device)
    special, words = vocabulary(30, 4)
    read, unread = words[:20], words[20:]
    sentence = torch.cat([torch.tensor([special[1]]), read])
    model = blind_model(student, device, 30, special[2])
    sequences = sentence.repeat(4, 1).to(device)
    losses = trained(student, model, sequences, special[0], 30, special, steps=50, batch_size=4, peak=0.05)
    bias = learnt_bias(model, device).cpu()
    above = bias[read] - bias[unread].mean()
    suspect_idleness(suspect, bias.any(), losses)
    if leaves_out_the_first_ids(above):
        suspect("pretrain-ids-fixed")
    elif bias[special[0]] - bias[unread].mean() > 0.2:
        suspect("pretrain-asks-for-the-inputs")
    elif (above > 0.2).any() and (above.abs() < 1e-4).any():
        suspect("pretrain-masks-once")
        suspect("pretrain-same-generator")
    assert (above > 0.2).all(), f"{(above <= 0.2).sum().item()} of 20 words were never asked for"
    assert bias.softmax(dim=0)[read].sum() > 0.75, "it was asked for something else than the words of the sentence"


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*STEPS_BEFORE)
def test_pretraining_asks_only_for_hidden_words(student, device, suspect):
    """Pretraining: special tokens are never asked for, and what is asked for is the original word."""
    first_few(student, device)
    special, words = vocabulary(30, 5)
    read, unread = words[:12], words[12:]
    sequences = torch.cat([torch.full((24, 1), special[1]), some_of(read, 24, 12)], dim=1)
    sequences[::2, 8:] = special[2]
    model = blind_model(student, device, 30, special[2])
    losses = trained(student, model, sequences.to(device), special[0], 30, special, steps=30, batch_size=20, peak=0.05)
    bias = learnt_bias(model, device).cpu()
    never = bias[unread].mean()
    suspect_idleness(suspect, bias.any(), losses)
    if leaves_out_the_first_ids(bias[read] - never):
        suspect("pretrain-ids-fixed")
    elif bias[special[0]] - never > 0.05:
        suspect("pretrain-asks-for-the-inputs")
    elif bias[special[1]] - never > 0.05:
        suspect("pretrain-asks-everywhere")
        suspect("pretrain-forgets-special-ids")
    for token in special:
        assert abs(bias[token] - never) < 0.05, f"a special token was asked for: {bias[token]:.2f} against {never:.2f}"
    assert (bias[read] - never > 0.3).any(), "no word was asked for"


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*STEPS_BEFORE)
def test_pretraining_reads_everything(student, device, suspect):
    """Pretraining: every sequence is read, not only the first ones."""
    first_few(student, device)
    special, words = vocabulary(30, 4)
    model = blind_model(student, device, 30, special[2])
    sequences = words[:10].repeat(2)[:, None].expand(20, 24)[torch.randperm(20)].to(device)
    losses = trained(student, model, sequences, special[0], 30, special, steps=60, batch_size=4, peak=0.05)
    bias = learnt_bias(model, device).cpu()
    above = bias[words[:10]] - bias[words[10:]].mean()
    suspect_idleness(suspect, bias.any(), losses)
    if leaves_out_the_first_ids(above):
        suspect("pretrain-ids-fixed")
    elif (above > 0.2).any() and (above.abs() < 1e-4).any():
        suspect("pretrain-first-sequences-only")
    assert (above > 0.01).all(), f"the sequences of {(above <= 0.01).sum().item()} words out of 10 were never read"


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*STEPS_BEFORE)
def test_pretraining_switches_modes(student, device, suspect):
    """Pretraining: dropout is active while the model learns, and no more when it is handed back."""
    special, words = vocabulary(12, 2)
    weights = encoder_weights(12, 12, 1, 20, 8)
    direction, sizes = torch.randn(12, dtype=DOUBLE), 0.5 + torch.rand(12, 1, dtype=DOUBLE)
    weights["embeddings.token.weight"] = sizes * direction  # after the norm, all words look the same
    for name in ("position", "segment"):
        weights[f"embeddings.{name}.weight"] = torch.zeros_like(weights[f"embeddings.{name}.weight"])
    options = {"d_model": 12, "num_heads": 3, "num_layers": 1, "d_hidden": 20, "max_length": 8, "dropout": 0.5}
    options["pad_id"] = special[1]
    model = made(student.BertEncoder, device, SINGLE, weights, 12, **options)
    sequences = torch.full((20, 8), words[3].item(), device=device)
    losses = trained(student, model, sequences, special[0], 12, special, steps=4, batch_size=16, peak=0.0)
    spread = max(losses) - min(losses)
    suspect("pretrain-in-evaluation-mode" if spread < 1e-3 else "pretrain-left-in-training-mode")
    assert spread > 1e-3, "the loss is always the same: there is no dropout while the model learns"
    assert model.training is False, "the model is handed back in training mode"


class Language:
    """Sentences of a hidden topic and hidden classes of words, and what can be known of them at best.

    Vetted tables, in percent: how class follows class, and which word of its class a topic takes. Each language has
    its own words, so that nothing can be known of it beforehand. A correct model learns all of them alike.
    """

    TABLES = (
        (
            ((1, 26, 72, 2), (94, 1, 3, 1), (6, 6, 14, 74), (73, 23, 2, 2)),
            ((74, 2, 3, 21), (80, 15, 2, 3), (6, 24, 3, 68), (11, 6, 37, 45)),
            ((4, 27, 12, 58), (4, 93, 2, 1), (2, 1, 29, 67), (14, 7, 2, 77)),
        ),
        (
            ((2, 53, 1, 45), (20, 56, 21, 3), (94, 2, 1, 3), (1, 2, 39, 58)),
            ((79, 2, 4, 15), (33, 1, 62, 3), (20, 24, 5, 51), (2, 29, 2, 67)),
            ((71, 19, 2, 9), (1, 36, 1, 61), (69, 2, 1, 27), (38, 53, 7, 2)),
        ),
        (
            ((1, 50, 49, 1), (1, 57, 41, 1), (95, 1, 3, 1), (41, 1, 40, 18)),
            ((4, 89, 1, 6), (1, 60, 22, 17), (1, 1, 76, 21), (1, 73, 17, 9)),
            ((51, 2, 32, 15), (10, 76, 12, 1), (82, 2, 4, 12), (23, 61, 2, 14)),
        ),
    )

    def __init__(self):
        follows, *topics = self.TABLES[int(torch.randint(len(self.TABLES), ()))]
        follows, topics = torch.tensor(follows, dtype=DOUBLE), torch.tensor(topics, dtype=DOUBLE)
        self.follows = follows / follows.sum(dim=-1, keepdim=True)  # (4, 4)
        self.says = torch.zeros(2, 4, 16, dtype=DOUBLE)  # P(word | topic, class)
        for kind in range(4):
            self.says[:, kind, 4 * kind : 4 * kind + 4] = topics[:, kind] / topics[:, kind].sum(dim=-1, keepdim=True)
        self.special, self.words = vocabulary(20, 4)  # mask, pad, cls, sep
        self.words = self.words[torch.randperm(16)]
        self.place = torch.full((20,), -1)
        self.place[self.words] = torch.arange(16)

    def sample(self, count):
        """Sentences (count, 18): cls, 16 words, sep."""
        topic, kind = torch.randint(2, (count,)), torch.randint(4, (count,))
        columns = []
        for _ in range(16):
            columns.append(self.words[torch.multinomial(self.says[topic, kind], 1)[:, 0]])
            kind = torch.multinomial(self.follows[kind], 1)[:, 0]
        edge = torch.ones(count, dtype=torch.int64)
        return torch.stack([self.special[2] * edge, *columns, self.special[3] * edge], dim=1)

    def corrupt(self, ids):
        """The inputs, and where something is asked."""
        ordinary = self.place[ids] >= 0
        asked, fate = (torch.rand(ids.shape) < 0.15) & ordinary, torch.rand(ids.shape)
        inputs = torch.where(asked & (fate < 0.8), self.special[0], ids)
        return torch.where(asked & (fate >= 0.9), some_of(self.words, *ids.shape), inputs), asked

    def best(self, inputs, sides):
        """Log-probabilities (count, 16, 16) of the words behind each place, if it was selected, by forward-backward.

        sides: both, left, or none: without what stands to the right, or without any other word.
        """
        shown = torch.cat([0.1 / 16 + 0.1 * torch.eye(16, dtype=DOUBLE), torch.full((16, 1), 0.8, dtype=DOUBLE)], 1)
        either = 0.15 * shown + 0.85 * torch.eye(16, 17, dtype=DOUBLE)  # (word, shown), [MASK] last
        seen = torch.where(inputs == self.special[0], 16, self.place[inputs])[:, 1:-1]
        evidence = torch.einsum("zcw,wi->izc", self.says, either)[seen]  # (count, 16, topic, class)
        forward, backward = [torch.full((len(seen), 2, 4), 0.125, dtype=DOUBLE)], [torch.ones(len(seen), 2, 4, dtype=DOUBLE)]
        for t in range(15):
            known = forward[-1] * (evidence[:, t] if sides != "none" else 1)
            forward.append(known @ self.follows / known.sum(dim=(1, 2), keepdim=True))
            known = backward[-1] * (evidence[:, 15 - t] if sides == "both" else 1)
            backward.append(known @ self.follows.T / known.sum(dim=(1, 2), keepdim=True))
        belief = torch.stack(forward, dim=1) * torch.stack(backward[::-1], dim=1)
        words = torch.einsum("ntzc,zcw->ntw", belief, self.says) * shown[:, seen].permute(1, 2, 0)
        return (words / words.sum(dim=-1, keepdim=True)).log()


def first_weights():
    """Initial weights of the model that is pretrained: as the given constructors make them, and larger than BERT's."""
    weights = encoder_weights(20, 64, 2, 128, 18)
    for name, weight in weights.items():
        if "norm" in name:
            weights[name] = torch.ones_like(weight) if name.endswith("weight") else torch.zeros_like(weight)
        elif weight.dim() == 1:
            weights[name] = torch.zeros_like(weight)
        elif name.startswith("embeddings"):
            weights[name] = 0.3 * torch.randn(weight.shape, dtype=DOUBLE)
        else:
            bound = math.sqrt(6 / sum(weight.shape)) if "in_proj" in name else 1 / math.sqrt(weight.shape[1])
            weights[name] = bound * (2 * torch.rand(weight.shape, dtype=DOUBLE) - 1)
    return weights


@pytest.mark.points(3)
@pytest.mark.training
@pytest.mark.cpu(60)
@pytest.mark.stand_in("mask_tokens", "mlm_loss", "BertEmbeddings", "MaskedLMHead")
def test_the_pretrained_model_knows_the_language(student, device, suspect):
    """Pretraining: your model, trained by your code, knows most of what can be known, at masked and at visible places."""
    language = Language()
    mask_id, pad, *_ = language.special
    sizes = {"d_model": 64, "num_heads": 4, "num_layers": 2, "d_hidden": 128, "max_length": 18, "pad_id": pad}
    model = made(student.BertEncoder, device, SINGLE, first_weights(), 20, **sizes)
    sequences = language.sample(15_000).to(device)
    with torch.no_grad():
        before = model(sequences[:4])
    losses = trained(student, model, sequences, mask_id, 20, language.special, steps=700, batch_size=64, peak=5e-3)

    model.eval()
    with torch.no_grad():
        moved = not torch.allclose(model(sequences[:4]), before, rtol=1e-3, atol=1e-3)
    held_out = language.sample(2000)
    inputs, asked = language.corrupt(held_out)
    with torch.no_grad():
        logits = torch.cat([model(part.to(device)) for part in inputs.split(100)]).cpu().double()
    assert logits.shape == (2000, 18, 20) and logits.isfinite().all(), "NaN or inf in the logits"
    logs = logits.log_softmax(dim=-1)
    right = language.place[held_out[:, 1:-1]].unsqueeze(-1)

    def surprise(predictions, where):
        return -predictions.gather(-1, right)[where].mean().item()

    asked, hidden = asked[:, 1:-1], inputs[:, 1:-1] == mask_id
    closed, left_alone = {}, {}
    for name, where in {"all": asked, "masked": asked & hidden, "visible": asked & ~hidden}.items():
        none, left, both = (surprise(language.best(inputs, sides), where) for sides in ("none", "left", "both"))
        mine = surprise(logs[:, 1:-1, language.words], where)
        closed[name], left_alone[name] = (none - mine) / (none - both), (none - left) / (none - both)
    sure = logs[:, 0, language.special[2]].exp().mean().item()  # of the first token, which nobody asks for
    suspect_idleness(suspect, moved, losses)
    if not moved:
        pass  # what follows is about what was learnt
    elif closed["masked"] > 0.75 and closed["visible"] < 0.6:
        suspect("pretrain-asks-everywhere" if sure > 0.5 else "pretrain-hides-all-behind-mask")
    elif surprise(logs[:, 1:-1, language.words], asked) > math.log(20):
        suspect("pretrain-shows-the-answers")
    elif abs(closed["all"]) < 0.06 and abs(closed["masked"]) < 0.06:
        suspect("encoder-skips-the-layers")
    elif left_alone["all"] - 0.15 < closed["all"] < left_alone["all"] + 0.02:
        suspect("encoder-is-causal")
    said = ", ".join(f"{name} {share:.3f}" for name, share in closed.items())
    assert closed["all"] > 0.85 and closed["masked"] > 0.85 and closed["visible"] > 0.65, f"share of the gap: {said}"


# Step 7: the experiment


@pytest.mark.points(1)
def test_the_reported_number_is_counted(student, reference):
    """The experiment: the number of parameters of BERT-base is what a count gives."""
    reported = student.parameters_of_bert_base
    assert isinstance(reported, (int, float, torch.Tensor)), f"no number: {reported}"
    with torch.device("meta"):
        base = reference.BertEncoder(30_522, 768, 12, 12, 3072, 512)
    counted = sum(parameter.numel() for parameter in base.parameters())
    assert int(reported) == counted, f"{int(reported):,} were reported, {counted:,} counted"
