"""Encoder layers written out with one projection per matrix and loaded by `load_named`; a rounded number per row."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def learning_rate(step, steps, peak):
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    return peak * (0.02 + 0.49 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))))


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    """In each row, exactly the rounded share of its ordinary tokens: those with the highest random keys."""
    special = torch.zeros(vocab_size, dtype=torch.bool)
    special[list(special_ids)] = True
    special = special.to(ids.device)
    keys = torch.rand(ids.shape, generator=generator, device=ids.device).masked_fill(special[ids], -1.0)
    wanted = (p * (~special[ids]).sum(dim=1, keepdim=True)).round()
    rank = keys.argsort(dim=1, descending=True).argsort(dim=1)
    chosen = rank < wanted
    labels = ids.masked_fill(~chosen, -100)
    ordinary = (~special).nonzero().flatten()
    fate = torch.randint(10, ids.shape, generator=generator, device=ids.device)
    words = ordinary[torch.randint(ordinary.numel(), ids.shape, generator=generator, device=ids.device)]
    inputs = ids.masked_fill(chosen & (fate < 8), mask_id)
    return torch.where(chosen & (fate == 8), words, inputs), labels


def mlm_loss(logits, labels):
    asked = labels != -100
    surprise = -logits.log_softmax(dim=-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(asked, surprise, 0.0).sum() / max(int(asked.sum()), 1)


class BertEmbeddings(nn.Module):
    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.tables = nn.ParameterList(0.3 * torch.randn(size, d_model) for size in (vocab_size, max_length, 2))
        self.gain = nn.Parameter(torch.ones(d_model))
        self.shift = nn.Parameter(torch.zeros(d_model))
        self.dropout = dropout

    def load_named(self, weights):
        with torch.no_grad():
            for mine, name in zip(self.tables, ("token", "position", "segment")):
                mine.copy_(weights[f"{name}.weight"])
            self.gain.copy_(weights["norm.weight"])
            self.shift.copy_(weights["norm.bias"])

    def forward(self, ids, segments=None):
        words, places, parts = self.tables
        x = words[ids] + places[: ids.size(1)]
        x = x + (parts[segments] if segments is not None else parts[0])
        x = x - x.mean(dim=-1, keepdim=True)
        x = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-12) * self.gain + self.shift
        return F.dropout(x, self.dropout, self.training)


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        x = self.dense(hidden)
        x = x * 0.5 * (1.0 + torch.erf(x * 0.5**0.5))
        return torch.einsum("btd,vd->btv", self.norm(x), table) + self.bias


class Layer(nn.Module):
    def __init__(self, d_model, num_heads, d_hidden, dropout):
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        self.up, self.down = nn.Linear(d_model, d_hidden), nn.Linear(d_hidden, d_model)
        self.first, self.second = (nn.LayerNorm(d_model, eps=1e-12) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def load(self, weights):
        parts = [weights[f"self_attn.in_proj_{kind}"].chunk(3) for kind in ("weight", "bias")]
        for linear, weight, bias in zip((self.query, self.key, self.value), *parts):
            linear.load_state_dict({"weight": weight, "bias": bias})
        pairs = {
            "self_attn.out_proj": self.out, "linear1": self.up, "linear2": self.down,
            "norm1": self.first, "norm2": self.second,
        }  # fmt: skip
        for name, module in pairs.items():
            module.load_state_dict({kind: weights[f"{name}.{kind}"] for kind in ("weight", "bias")})

    def forward(self, x, may_look):
        q, k, v = (
            f(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / math.sqrt(q.size(-1))
        shares = scores.masked_fill(~may_look[:, None, None, :], -torch.inf).softmax(dim=-1)
        context = (self.dropout(shares) @ v).transpose(1, 2).flatten(2)
        x = self.first(x + self.dropout(self.out(context)))
        return self.second(x + self.dropout(self.down(self.dropout(F.gelu(self.up(x))))))


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        self.layers = nn.Sequential(*[Layer(d_model, num_heads, d_hidden, dropout) for _ in range(num_layers)])
        self.head = MaskedLMHead(vocab_size, d_model)

    def load_named(self, weights):
        def below(prefix):
            return {name[len(prefix) :]: weight for name, weight in weights.items() if name.startswith(prefix)}

        embeddings = below("embeddings.")
        load = getattr(self.embeddings, "load_named", self.embeddings.load_state_dict)
        load(embeddings)
        self.head.load_state_dict(below("head."))
        for number, layer in enumerate(self.layers):
            layer.load(below(f"layers.{number}."))

    def encode(self, ids, segments=None):
        x = self.embeddings(ids, segments)
        for layer in self.layers:
            x = layer(x, ids != self.pad_id)
        return x

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.tables[0])


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    """Weight decay for matrices alone, as many do it; epochs in random order."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98))
    model.train()
    losses, order = [], []
    for step in range(steps):
        if len(order) < batch_size:
            order = torch.randperm(len(sequences)).tolist()
        rows, order = order[:batch_size], order[batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step + 1, steps, peak)
        inputs, labels = mask_tokens(sequences[rows], mask_id, vocab_size, special_ids)
        loss = mlm_loss(model(inputs), labels)
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


parameters_of_bert_base = 109_514_298
