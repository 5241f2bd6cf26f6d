"""Training with torch.func and an AdamW written out; masking by sorting into exact numbers; a head in one einsum."""

import math

import torch
from torch import nn
from torch.nn.functional import gelu, layer_norm, nll_loss


def learning_rate(step, steps, peak):
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    """Row by row: a random order of the ordinary places, of which the first are taken."""
    inputs, labels = ids.clone(), torch.full_like(ids, -100)
    is_ordinary = torch.ones(vocab_size, dtype=torch.bool, device=ids.device)
    for token in special_ids:
        is_ordinary[token] = False
    pool = is_ordinary.nonzero().flatten()
    for i in range(len(ids)):
        places = is_ordinary[ids[i]].nonzero().flatten()
        order = torch.randperm(len(places), generator=generator, device=ids.device)
        places = places[order[: round(p * len(places))]]
        labels[i, places] = ids[i, places]
        fate = torch.rand(len(places), generator=generator, device=ids.device)
        drawn = pool[torch.randint(len(pool), (len(places),), generator=generator, device=ids.device)]
        inputs[i, places[fate < 0.8]] = mask_id
        swapped = fate > 0.9
        inputs[i, places[swapped]] = drawn[swapped]
    return inputs, labels


def mlm_loss(logits, labels):
    flat = logits.log_softmax(dim=-1).view(-1, logits.size(-1))
    targets = labels.reshape(-1)
    count = (targets >= 0).sum()
    total = nll_loss(flat, targets, reduction="sum", ignore_index=-100)
    return torch.where(count > 0, total / count.clamp_min(1), total * 0)


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
        x = self.token.weight.index_select(0, ids.flatten()).view(*ids.shape, -1)
        x = x + self.position.weight.narrow(0, 0, ids.size(1))
        if segments is None:
            x = x + self.segment.weight[0]
        else:
            x = torch.where(segments.bool().unsqueeze(-1), x + self.segment.weight[1], x + self.segment.weight[0])
        return self.dropout(layer_norm(x, x.shape[-1:], self.norm.weight, self.norm.bias, eps=1e-12))


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        x = gelu(self.dense(hidden))
        x = layer_norm(x, x.shape[-1:], eps=1e-12)
        return torch.einsum("...d,d,vd->...v", x, self.norm.weight, table) + table @ self.norm.bias + self.bias


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                d_model, num_heads, d_hidden, dropout, activation="gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(num_layers)
        )
        self.head = MaskedLMHead(vocab_size, d_model)

    def _attend(self, layer, x, hidden):
        context, _ = layer.self_attn(x, x, x, key_padding_mask=hidden, need_weights=True)
        x = layer.norm1(x + layer.dropout1(context))
        return layer.norm2(x + layer.dropout2(layer.linear2(layer.dropout(gelu(layer.linear1(x))))))

    def encode(self, ids, segments=None):
        x = self.embeddings(ids, segments)
        for layer in self.layers:
            x = self._attend(layer, x, ids == self.pad_id)
        return x

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.token.weight)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    weights = dict(model.named_parameters())
    first = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    second = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def loss_of(weights, inputs, labels):
        return mlm_loss(torch.func.functional_call(model, weights, (inputs,)), labels)

    model.train()
    losses = []
    for step in range(1, steps + 1):
        rate = learning_rate(step, steps, peak)
        rows = torch.randint(len(sequences), (batch_size,)).to(sequences.device)
        batch = mask_tokens(sequences[rows], mask_id, vocab_size, special_ids)
        detached = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        loss = loss_of(detached, *batch)
        gradients = torch.autograd.grad(loss, list(detached.values()), allow_unused=True, materialize_grads=True)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        with torch.no_grad():
            for (name, weight), gradient in zip(weights.items(), gradients):
                gradient = gradient / (norm + 1e-6).clamp(min=1.0)
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.98 * second[name] + 0.02 * gradient**2
                mean, size = first[name] / (1 - 0.9**step), second[name] / (1 - 0.98**step)
                weight.copy_(weight * (1 - 0.01 * rate) - rate * mean / (size.sqrt() + 1e-8))
        losses.append(loss.item())
    model.eval()
    return losses


parameters_of_bert_base = int(1.09514298e8)
