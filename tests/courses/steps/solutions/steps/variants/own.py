import torch
from torch import nn


def halve(x):
    return 0.5 * x


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
        self.inner = nn.Linear(width, width, bias=False)
        self.register_buffer("offset", torch.ones(width))

    def forward(self, x):
        return torch.einsum("oi,...i->...o", self.inner.weight, x) / 2 + self.offset

    def twice(self, x, times=2):
        return x if times == 0 else self.twice(self(x), times - 1)


class Tower(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.layers = nn.ModuleList([Layer(width) for _ in range(depth)])

    def forward(self, x):
        for layer in self.layers:
            x = layer.twice(x)
        return x * 0.5


def train(tower, x, y, steps):
    optimizer = torch.optim.SGD(tower.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(tower(x), y).backward()
        optimizer.step()
