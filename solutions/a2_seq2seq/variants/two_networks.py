"""Two GRUs that read forwards, one of them a sentence turned round; attention with two matrices; weights stored so."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD, BOS, EOS = 0, 1, 2


def mirrored(rows: Tensor, lengths: Tensor) -> Tensor:
    """The first `lengths` entries of each row in reverse order, the rest where they are. rows: (B, S, ...)"""
    place = torch.arange(rows.size(1), device=rows.device).expand(rows.size(0), -1)
    source = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return rows[torch.arange(rows.size(0), device=rows.device)[:, None], source]


class Encoder(nn.Module):
    def __init__(self, vocab_size: int, embedding_size: int, hidden_size: int, state_size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, embedding_size)
        self.onwards = nn.GRU(embedding_size, hidden_size, batch_first=True)
        self.backwards = nn.GRU(embedding_size, hidden_size, batch_first=True)
        self.first_state = nn.Linear(hidden_size, state_size)

    def load_named(self, weights: dict[str, Tensor]) -> None:
        names = {"embedding.weight": "table.weight"}
        names |= {f"bridge.{part}": f"first_state.{part}" for part in ("weight", "bias")}
        own = {}
        for name, tensor in weights.items():
            if name.endswith("_reverse"):
                own["backwards." + name.removeprefix("gru.").removesuffix("_reverse")] = tensor
            elif name.startswith("gru."):
                own["onwards." + name.removeprefix("gru.")] = tensor
            else:
                own[names[name]] = tensor
        self.load_state_dict(own)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        real = source.ne(PAD)
        lengths = real.sum(1)
        words = self.table(source)
        ahead, _ = self.onwards(words)
        back, _ = self.backwards(mirrored(words, lengths))
        back = mirrored(back, lengths)
        memory = torch.cat((ahead, back), dim=-1).masked_fill(~real[..., None], 0.0)
        return memory, torch.tanh(self.first_state(back[:, 0]))


class Decoder(nn.Module):
    def __init__(self, vocab_size: int, embedding_size: int, state_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token: Tensor, state: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, None]:
        state = self.cell(F.embedding(token, self.embedding.weight), state)
        return F.linear(state, self.output.weight, self.output.bias), state, None


class AttentionDecoder(nn.Module):
    """Stores W_a and U_a apart, and one output matrix for each of the three parts."""

    def __init__(
        self, vocab_size: int, embedding_size: int, state_size: int, memory_size: int, hidden_size: int
    ) -> None:
        super().__init__()
        self.sizes = (state_size, memory_size, embedding_size)
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.of_query = nn.Linear(state_size, hidden_size, bias=False)
        self.of_key = nn.Linear(memory_size, hidden_size, bias=False)
        self.energy = nn.Parameter(torch.randn(hidden_size) / hidden_size**0.5)
        self.cell = nn.GRUCell(embedding_size + memory_size, state_size)
        self.from_state = nn.Linear(state_size, vocab_size)
        self.from_context = nn.Linear(memory_size, vocab_size, bias=False)
        self.from_word = nn.Linear(embedding_size, vocab_size, bias=False)

    def load_named(self, weights: dict[str, Tensor]) -> None:
        own = {name: tensor for name, tensor in weights.items() if name.startswith(("embedding.", "cell."))}
        state_size, memory_size, _ = self.sizes
        both = weights["attention.hidden.weight"].split((state_size, memory_size), 1)
        own["of_query.weight"], own["of_key.weight"] = both
        own["energy"] = weights["attention.score.weight"][0]
        parts = weights["output.weight"].split(self.sizes, 1)
        own |= dict(zip(("from_state.weight", "from_context.weight", "from_word.weight"), parts))
        own["from_state.bias"] = weights["output.bias"]
        self.load_state_dict(own)

    def step(self, token: Tensor, state: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = torch.tanh(self.of_query(state)[:, None] + self.of_key(memory)) @ self.energy
        shares = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(~mask, 0)
        context = torch.bmm(shares[:, None], memory)[:, 0]
        word = self.embedding(token)
        state = self.cell(torch.hstack((word, context)), state)
        return self.from_state(state) + self.from_context(context) + self.from_word(word), state, shares


class Seq2Seq(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return torch.stack([logits for logits, _ in led(self, source, target)], dim=-2)

    @torch.no_grad()
    def translate(self, source: Tensor, max_length: int) -> Tensor:
        memory, state = self.encoder(source)
        ids = source.new_full((len(source), max_length), PAD)
        token = source.new_full((len(source),), BOS)
        going = torch.ones_like(token, dtype=torch.bool)
        for place in range(max_length):
            logits, state, _ = self.decoder.step(token, state, memory, source.ne(PAD))
            token = logits.max(dim=-1).indices
            ids[going, place] = token[going]
            going = going & token.ne(EOS)
            if not going.any():
                break
        return ids


def led(model, source, target):
    """Logits and weights of each step, the teacher leading."""
    memory, state = model.encoder(source)
    for t in range(target.shape[1] - 1):
        logits, state, weights = model.decoder.step(target[:, t], state, memory, source.ne(PAD))
        yield logits, weights


def translation_loss(logits: Tensor, target: Tensor) -> Tensor:
    said = target[:, 1:].ne(PAD)
    return F.nll_loss(F.log_softmax(logits[said], dim=-1), target[:, 1:][said])


class Guesser(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.table(target[:, :-1])


def fit(model: nn.Module, batches: list[tuple[Tensor, Tensor]], lr: float) -> list[float]:
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr)

    def one(source, target):
        optimizer.zero_grad(set_to_none=False)
        loss = translation_loss(model(source, target), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.detach().item()

    return [one(*batch) for batch in batches]


def accuracy(model: nn.Module, source: Tensor, target: Tensor) -> float:
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention: float = 0.29


def alignment(model: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    return torch.stack([weights for _, weights in led(model, source, target)], dim=1)


class WordEncoder(nn.Module):
    def __init__(self, vocab_size: int, max_length: int, memory_size: int, state_size: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab_size, memory_size)
        self.places = nn.Embedding(max_length, memory_size)
        self.state_size = state_size

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.words(source) + self.places.weight[: source.size(1)]
        memory = memory * (source != PAD).unsqueeze(-1)
        return memory, memory.new_zeros(source.size(0), self.state_size)
