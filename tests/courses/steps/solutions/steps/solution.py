# %% [markdown]
# # Steps
# Each builds on the one before.

# %%
import torch
from torch import nn


# %%
def halve(x):
    """Halves of numbers, of any shape."""
    # BEGIN SOLUTION NO PROMPT
    return x / 2
    # END SOLUTION
    raise NotImplementedError("halve")


# %%
class Layer(nn.Module):
    """`weight` (width, width); adds the halved product to `offset`, a buffer."""

    def __init__(self, width):
        super().__init__()
        if width < 1:
            raise ValueError("a width of at least 1")
        self.width = width
        self.inner = nn.Linear(width, width, bias=False)
        self.register_buffer("offset", torch.ones(width))

    def forward(self, x):
        # BEGIN SOLUTION NO PROMPT
        return halve(self.inner(x)) + self.offset
        # END SOLUTION
        raise NotImplementedError("Layer")

    def twice(self, x, times=2):
        """The layer, several times."""
        # BEGIN SOLUTION NO PROMPT
        for _ in range(times):
            x = self(x)
        return x
        # END SOLUTION
        raise NotImplementedError("Layer.twice")


# %%
class Tower(nn.Module):
    """Layers on one another; the last result is halved."""

    def __init__(self, width, depth):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))

    def forward(self, x):
        # BEGIN SOLUTION NO PROMPT
        for layer in self.layers:
            x = layer.twice(x)
        return halve(x)
        # END SOLUTION
        raise NotImplementedError("Tower")


# %%
def train(tower, x, y, steps):
    """Plain gradient descent on the mean squared error, at a rate of 0.05."""
    # BEGIN SOLUTION NO PROMPT
    for _ in range(steps):
        tower.zero_grad()
        (tower(x) - y).square().mean().backward()
        with torch.no_grad():
            for parameter in tower.parameters():
                parameter -= 0.05 * parameter.grad
    return
    # END SOLUTION
    raise NotImplementedError("train")


# %%
def test_halve():
    """Halves numbers."""
    assert halve(torch.tensor(4.0)) == 2, "half of 4 is 2"
