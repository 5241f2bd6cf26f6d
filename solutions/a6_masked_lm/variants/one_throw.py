"""A single uniform number per token decides everything; logits only where something is asked; one-hot embeddings."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def learning_rate(step, steps, peak):
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    number = torch.rand(ids.shape, generator=generator, device=ids.device, dtype=torch.float64)
    for special in special_ids:
        number = number + 2.0 * (ids == special)
    ordinary = sorted(set(range(vocab_size)) - set(special_ids))
    word = torch.rand(ids.shape, generator=generator, device=ids.device, dtype=torch.float64) * len(ordinary)
    words = torch.tensor(ordinary, device=ids.device)[word.long()]
    inputs = ids.where(number >= p, ids)
    inputs = torch.where(number < 0.9 * p, words, inputs)
    inputs = torch.where(number < 0.8 * p, torch.full_like(ids, mask_id), inputs)
    return inputs, torch.where(number < p, ids, torch.full_like(ids, -100))


def mlm_loss(logits, labels):
    places = (labels != -100).nonzero(as_tuple=True)
    picked = logits[places]
    if len(picked) == 0:
        return picked.sum()
    right = picked.gather(1, labels[places][:, None]).squeeze(1)
    return (picked.logsumexp(dim=1) - right).mean()


class BertEmbeddings(nn.Module):
    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(max_length, d_model)
        self.segment = nn.Embedding(2, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        for table in (self.token, self.position, self.segment):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, ids, segments=None):
        kind = self.token.weight.dtype
        words = F.one_hot(ids, self.token.num_embeddings).to(kind) @ self.token.weight
        part = ids * 0 if segments is None else segments
        segment = torch.lerp(self.segment.weight[0], self.segment.weight[1], part.unsqueeze(-1).to(kind))
        return self.dropout(self.norm(words + self.position.weight[None, : ids.shape[-1]] + segment))


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        normal = torch.distributions.Normal(0.0, 1.0)
        x = self.dense(hidden)
        x = self.norm(x * normal.cdf(x))
        return torch.stack([x @ row for row in table], dim=-1) + self.bias


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        options = {"activation": F.gelu, "layer_norm_eps": 1e-12, "batch_first": True}
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(d_model, num_heads, d_hidden, dropout, **options) for _ in range(num_layers)
        )
        self.head = MaskedLMHead(vocab_size, d_model)

    def encode(self, ids, segments=None):
        """The padding mask as numbers that are added to the scores."""
        x = self.embeddings(ids, segments)
        hidden = torch.zeros(ids.shape, dtype=x.dtype, device=ids.device).masked_fill(ids == self.pad_id, -torch.inf)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=hidden)
        return x

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.token.weight)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=peak, betas=(0.9, 0.98), weight_decay=0.01, foreach=False)

    def one_step(step):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, peak)
        some = torch.randperm(len(sequences), device=sequences.device)[:batch_size]
        inputs, labels = mask_tokens(sequences.index_select(0, some), mask_id, vocab_size, special_ids)
        loss = mlm_loss(model(inputs), labels)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients):
            weight.grad = torch.zeros_like(weight) if gradient is None else gradient
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        return loss.item()

    model.train()
    losses = [one_step(step) for step in range(1, steps + 1)]
    model.eval()
    return losses


parameters_of_bert_base = 109514298
