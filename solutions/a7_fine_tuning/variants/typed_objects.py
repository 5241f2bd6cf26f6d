"""Typed, in small objects: a reader for files, a context for modes, a trainer with a scheduler that is asked, not stepped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batch = tuple[Tensor, Tensor, Tensor]


class Encoder(nn.Module):
    def __init__(self, vocab_size, width, layers, heads, hidden, max_length, segments=2, dropout=0.1, eps=1e-12):
        super().__init__()
        self.width = width
        self.word = nn.Embedding(vocab_size, width)
        self.position = nn.Embedding(max_length, width)
        self.segment = nn.Embedding(segments, width)
        self.norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, hidden, dropout, "gelu", eps, batch_first=True)
            for _ in range(layers)
        )
        for table in (self.word, self.position, self.segment):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens, mask=None, segments=None):
        places = torch.arange(tokens.size(1), device=tokens.device)
        segments = torch.zeros_like(tokens) if segments is None else segments
        x = self.dropout(self.norm(self.word(tokens) + self.position(places) + self.segment(segments)))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=None if mask is None else ~mask)
        return x


@dataclass(frozen=True)
class File:
    """Finds a tensor whatever dialect the file speaks."""

    tensors: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        for candidate in (name, f"bert.{name}", old, f"bert.{old}"):
            if candidate in self.tensors:
                return self.tensors[candidate]
        raise LookupError(f"the file has no {name}")

    def layer(self, number: int) -> Iterator[tuple[str, Tensor]]:
        place = f"encoder.layer.{number}"
        for kind in ("weight", "bias"):
            rows = [self[f"{place}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            yield f"self_attn.in_proj_{kind}", torch.vstack(rows) if kind == "weight" else torch.hstack(rows)
            yield f"self_attn.out_proj.{kind}", self[f"{place}.attention.output.dense.{kind}"]
            yield f"norm1.{kind}", self[f"{place}.attention.output.LayerNorm.{kind}"]
            yield f"linear1.{kind}", self[f"{place}.intermediate.dense.{kind}"]
            yield f"linear2.{kind}", self[f"{place}.output.dense.{kind}"]
            yield f"norm2.{kind}", self[f"{place}.output.LayerNorm.{kind}"]


def load_bert(state_dict: Mapping[str, Tensor], config: Mapping[str, Any]) -> Encoder:
    encoder = Encoder(
        config["vocab_size"],
        config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["intermediate_size"],
        max_length=config["max_position_embeddings"],
        segments=config["type_vocab_size"],
        dropout=config["hidden_dropout_prob"],
        eps=config["layer_norm_eps"],
    )
    file = File(state_dict)
    for name in ("word", "position"):
        getattr(encoder, name).weight = nn.Parameter(file[f"embeddings.{name}_embeddings.weight"].clone())
    encoder.segment.weight = nn.Parameter(file["embeddings.token_type_embeddings.weight"].clone())
    encoder.norm.load_state_dict({kind: file[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")})
    for number, layer in enumerate(encoder.layers):
        layer.load_state_dict(dict(file.layer(number)))
    return encoder


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    kept = hidden.masked_fill(~mask.unsqueeze(-1), 0)
    lengths = mask.count_nonzero(dim=1).clamp(min=1)
    return (kept.double().sum(dim=1) / lengths.unsqueeze(-1)).to(hidden.dtype)


class Classifier(nn.Module):
    def __init__(self, encoder: nn.Module, num_classes: int, frozen: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, num_classes)
        self.frozen = frozen
        if frozen:
            for module in encoder.modules():
                module.training = False
            for weight in encoder.parameters():
                weight.requires_grad = False

    def train(self, mode: bool = True) -> Classifier:
        super().train(mode)
        if self.frozen:
            for module in self.encoder.modules():
                module.training = False
        return self

    def features(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return mean_pool(self.encoder(tokens, mask), mask)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.features(tokens, mask))


def warmup_lr(step: float, peak: float, warmup: int, total: int) -> float:
    match step:
        case late if late >= total:
            return 0.0
        case early if early <= warmup:
            return peak * (early / warmup)
    return peak * (1 - (step - warmup) / (total - warmup))


class WordVotes(nn.Module):
    def __init__(self, vocab_size, num_classes, dropout=0.1):
        super().__init__()
        self.votes = nn.EmbeddingBag(vocab_size, num_classes, mode="sum")
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.votes.weight)

    def forward(self, tokens, mask):
        return self.votes(tokens, per_sample_weights=self.dropout(mask.to(self.votes.weight.dtype)))


@contextmanager
def mode_of(model: nn.Module, training: bool) -> Iterator[nn.Module]:
    before = model.training
    try:
        yield model.train(training)
    finally:
        model.train(before)


class Trainer:
    def __init__(self, model: nn.Module, rate: Any) -> None:
        self.model, self.rate, self.step = model, rate, 0
        self.optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0, foreach=True)

    def __call__(self, batch: Batch) -> float:
        self.step += 1
        tokens, mask, labels = batch
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.zero_grad()
        logits = self.model(tokens, mask)
        loss = (logits.logsumexp(-1) - logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)).mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def fine_tune(model: nn.Module, batches: Sequence[Batch], peak: float, warmup: int) -> list[float]:
    rate = partial(warmup_lr, peak=peak, warmup=warmup, total=len(batches))
    with mode_of(model, training=True):
        return list(map(Trainer(model, rate), batches))


def evaluate(model: nn.Module, tokens: Tensor, mask: Tensor, labels: Tensor, batch_size: int = 64) -> float:
    with mode_of(model, training=False), torch.no_grad():
        pieces = zip(*(tensor.split(batch_size) for tensor in (tokens, mask, labels)))
        hits = [(F.softmax(model(t, m), dim=-1).argmax(dim=-1) == y).sum() for t, m, y in pieces]
    return torch.stack(hits).sum().item() / labels.shape[0]


highest_share_of_peak: float = 0.315
gain_with_32_labels: float = 0.12
