"""torch's own stack of layers with a mask for each head; masking word by word in loops; a loss and norms in float64."""

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
    special = set(special_ids)
    ordinary = [token for token in range(vocab_size) if token not in special]
    dice = torch.rand(3, *ids.shape, generator=generator, device=ids.device).tolist()
    inputs, labels = ids.tolist(), [[-100] * ids.shape[1] for _ in range(ids.shape[0])]
    for i, row in enumerate(inputs):
        for t, token in enumerate(row):
            if token in special or dice[0][i][t] >= p:
                continue
            labels[i][t] = token
            if dice[1][i][t] < 0.1:
                row[t] = ordinary[int(dice[2][i][t] * len(ordinary))]
            elif dice[1][i][t] >= 0.2:
                row[t] = mask_id
    return torch.tensor(inputs, device=ids.device), torch.tensor(labels, device=ids.device)


def mlm_loss(logits, labels):
    asked = (labels != -100).double()
    right = F.one_hot(labels.clamp(min=0), logits.shape[-1]).double()
    surprise = -(logits.double().log_softmax(-1) * right).sum(-1)
    return ((surprise * asked).sum() / asked.sum().clamp(min=1)).to(logits.dtype)


class BertEmbeddings(nn.Module):
    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(max_length, d_model)
        self.segment = nn.Embedding(2, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for table in (self.token, self.position, self.segment):
                table.weight.mul_(0.3)

    def forward(self, ids, segments=None):
        places = torch.arange(ids.size(1), device=ids.device).expand_as(ids)
        segments = ids.new_zeros(ids.shape) if segments is None else segments
        x = (self.token(ids) + self.position(places) + self.segment(segments)).double()
        spread, middle = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        x = (x - middle) / (spread + 1e-12).sqrt() * self.norm.weight + self.norm.bias
        return self.dropout(x.to(self.token.weight.dtype))


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        x = self.norm(F.gelu(self.dense(hidden)))
        return torch.matmul(table, x.transpose(1, 2)).transpose(1, 2) + self.bias


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id, self.num_heads = pad_id, num_heads
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        layer = nn.TransformerEncoderLayer(d_model, num_heads, d_hidden, dropout, "gelu", 1e-12, batch_first=True)
        self.stack = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.head = MaskedLMHead(vocab_size, d_model)

    def load_named(self, weights):
        self.load_state_dict(
            {f"stack.{name}" if name.startswith("layers.") else name: weight for name, weight in weights.items()}
        )

    def encode(self, ids, segments=None):
        hidden = (ids == self.pad_id)[:, None, None, :].expand(-1, self.num_heads, ids.size(1), -1)
        return self.stack(self.embeddings(ids, segments), mask=hidden.flatten(0, 1))

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.token.weight)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    """All that is to be read is laid out beforehand."""
    epochs = math.ceil(steps * batch_size / (len(sequences) - len(sequences) % batch_size))
    whole = len(sequences) // batch_size * batch_size
    order = torch.cat([torch.randperm(len(sequences))[:whole] for _ in range(epochs)]).view(-1, batch_size)[:steps]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.01)
    losses = torch.zeros(steps, dtype=torch.float64)
    model = model.train()
    for step, rows in enumerate(order, 1):
        optimizer.param_groups[0].update(lr=learning_rate(step, steps, peak))
        inputs, labels = mask_tokens(sequences[rows.to(sequences.device)], mask_id, vocab_size, special_ids)
        optimizer.zero_grad()
        loss = mlm_loss(model(inputs), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        losses[step - 1] = loss.detach()
    model.eval()
    return losses.tolist()


parameters_of_bert_base = 109_514_298.0
