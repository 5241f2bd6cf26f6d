"""In place on clones with Bernoulli masks, as data collators do it; a LambdaLR scheduler; epochs by a DataLoader."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader


def learning_rate(step, steps, peak):
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    inputs, labels = ids.clone(), ids.clone()
    special = torch.isin(ids, torch.tensor(list(special_ids), device=ids.device))
    chances = torch.full(ids.shape, float(p), device=ids.device)
    chances[special] = 0.0
    chosen = torch.bernoulli(chances, generator=generator).bool()
    labels[~chosen] = -100
    replaced = torch.bernoulli(torch.full(ids.shape, 0.8, device=ids.device), generator=generator).bool() & chosen
    inputs[replaced] = mask_id
    half = torch.full(ids.shape, 0.5, device=ids.device)
    randomised = torch.bernoulli(half, generator=generator).bool() & chosen & ~replaced
    allowed = torch.tensor([token for token in range(vocab_size) if token not in set(special_ids)], device=ids.device)
    pick = torch.randint(len(allowed), ids.shape, generator=generator, device=ids.device)
    inputs[randomised] = allowed[pick][randomised]
    return inputs, labels


def mlm_loss(logits, labels):
    if not (labels != -100).any():
        return 0.0 * logits.sum()
    return nn.CrossEntropyLoss()(logits.reshape(-1, logits.size(-1)), labels.reshape(-1))


class BertEmbeddings(nn.Module):
    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(max_length, d_model)
        self.segment = nn.Embedding(2, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("places", torch.arange(max_length).unsqueeze(0), persistent=False)
        for table in (self.token, self.position, self.segment):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, ids, segments=None):
        length = ids.shape[1]
        total = self.token(ids) + self.position(self.places[:, :length])
        total = total + (self.segment.weight[0] if segments is None else self.segment(segments))
        return self.dropout(self.norm(total))


class MaskedLMHead(nn.Module):
    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        return nn.functional.linear(self.norm(nn.GELU()(self.dense(hidden))), table, self.bias)


class BertEncoder(nn.Module):
    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        self.layers = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(
                    d_model, num_heads, d_hidden, dropout, activation="gelu", layer_norm_eps=1e-12, batch_first=True
                )
                for _ in range(num_layers)
            ]
        )
        self.head = MaskedLMHead(vocab_size, d_model)

    def encode(self, ids, segments=None):
        x = self.embeddings(ids, segments)
        for layer in self.layers:
            x = layer(x, None, ids.eq(self.pad_id))
        return x

    def forward(self, ids, segments=None):
        return self.head(self.encode(ids, segments), self.embeddings.token.weight)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)

    def factor(done):
        return learning_rate(done + 1, steps, 1.0) if done < steps else 0.0

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    loader = DataLoader(sequences, batch_size=batch_size, shuffle=True, drop_last=True)
    losses = []
    while len(losses) < steps:
        for batch in loader:
            if len(losses) == steps:
                break
            inputs, labels = mask_tokens(batch, mask_id, vocab_size, special_ids)
            loss = mlm_loss(model(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            losses.append(float(loss.detach()))
    model.eval()
    return losses


parameters_of_bert_base = 109514298
