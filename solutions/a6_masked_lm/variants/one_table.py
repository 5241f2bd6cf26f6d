"""All embeddings in one table, summed by an embedding bag; the head is tied to a slice of it."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def learning_rate(step, steps, peak):
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    """The fate of each token drawn at once: not asked, hidden, swapped or kept."""
    special = torch.tensor(special_ids, dtype=ids.dtype).to(ids.device)
    spared = (ids[..., None] == special).any(dim=-1)
    shares = torch.tensor([1 - p, 0.8 * p, 0.1 * p, 0.1 * p], dtype=torch.float64).to(ids.device)
    fate = torch.multinomial(shares, ids.numel(), replacement=True, generator=generator).view(ids.shape)
    fate = fate.masked_fill(spared, 0)
    every = torch.arange(vocab_size).to(ids.device)
    ordinary = every[~(every[:, None] == special).any(dim=-1)]
    words = ordinary[torch.randint(0, len(ordinary), ids.shape, generator=generator, device=ids.device)]
    inputs = torch.stack([ids, torch.full_like(ids, mask_id), words, ids]).gather(0, fate[None]).squeeze(0)
    return inputs, ids.masked_fill(fate == 0, -100)


def mlm_loss(logits, labels):
    surprise = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none")  # (B, T)
    asked = (labels != -100).to(logits.dtype)
    return surprise.sum() / torch.clamp(asked.sum(), min=1)


class BertEmbeddings(nn.Module):
    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.sizes = (vocab_size, max_length, 2)
        self.bag = nn.EmbeddingBag(sum(self.sizes), d_model, mode="sum")
        nn.init.normal_(self.bag.weight, std=0.3)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.drop = nn.Dropout(dropout)

    def load_named(self, weights):
        tables = [weights[f"{name}.weight"] for name in ("token", "position", "segment")]
        with torch.no_grad():
            self.bag.weight.copy_(torch.cat(tables))
            self.norm.weight.copy_(weights["norm.weight"])
            self.norm.bias.copy_(weights["norm.bias"])

    @property
    def words(self):
        return self.bag.weight[: self.sizes[0]]

    def forward(self, ids, segments=None):
        places = torch.arange(ids.size(1), device=ids.device).expand_as(ids) + self.sizes[0]
        segments = (torch.zeros_like(ids) if segments is None else segments) + sum(self.sizes[:2])
        rows = torch.stack([ids, places, segments], dim=-1).flatten(0, 1)
        total = self.bag(rows) if self.bag.weight.dtype != torch.bfloat16 else self.bag.weight[rows].sum(dim=1)
        return self.drop(self.norm(total.view(*ids.shape, -1)))


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(d_model, d_model), nn.GELU(), nn.LayerNorm(d_model, eps=1e-12))
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def load_named(self, weights):
        names = {"dense": "first.0", "norm": "first.2"}
        renamed = {"bias": weights["bias"]}
        for old, new in names.items():
            renamed |= {f"{new}.{kind}": weights[f"{old}.{kind}"] for kind in ("weight", "bias")}
        self.load_state_dict(renamed)

    def forward(self, hidden, table):
        thought = self.first(hidden)
        return torch.baddbmm(self.bias.expand(len(hidden), hidden.size(1), -1), thought, table.T.expand(len(hidden), -1, -1))


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        self.layers = nn.ModuleDict(
            {
                f"layer{number}": nn.TransformerEncoderLayer(
                    d_model, num_heads, d_hidden, dropout, nn.GELU(), 1e-12, batch_first=True
                )
                for number in range(num_layers)
            }
        )
        self.head = MaskedLMHead(vocab_size, d_model)

    def load_named(self, weights):
        def below(prefix):
            return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}

        self.embeddings.load_named(below("embeddings."))
        self.head.load_named(below("head."))
        for number, layer in enumerate(self.layers.values()):
            layer.load_state_dict(below(f"layers.{number}."))

    def encode(self, ids, segments=None):
        x, hidden = self.embeddings(ids, segments), ids == self.pad_id
        for layer in self.layers.values():
            x = layer(x, src_key_padding_mask=hidden)
        return x

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.words)


class Sampler(torch.utils.data.Dataset):
    """Sentences that are masked whenever they are fetched."""

    def __init__(self, sequences, *how):
        self.sequences, self.how = sequences, how

    def __len__(self):
        return len(self.sequences)

    def __getitems__(self, rows):
        return mask_tokens(self.sequences[torch.tensor(rows).to(self.sequences.device)], *self.how)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    model.train()
    data = Sampler(sequences, mask_id, vocab_size, special_ids)
    order = torch.utils.data.RandomSampler(data, replacement=True, num_samples=steps * batch_size)
    loader = torch.utils.data.DataLoader(data, batch_size, sampler=order, collate_fn=lambda pair: pair)
    optimizer = torch.optim.AdamW(model.parameters(), peak, (0.9, 0.98), weight_decay=0.01)
    losses = []
    for step, (inputs, labels) in enumerate(loader, start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        loss = mlm_loss(model(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    return losses


parameters_of_bert_base = torch.tensor(109_514_298)
