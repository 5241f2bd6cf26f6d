# %% [markdown]
# # Scale and shift
#
# Two small steps: multiply by a number, then a layer that computes $y = W x + b$.

# %%
import torch
from torch import nn

# %% [markdown]
# ## 1. Scale
#
# Multiply every number of a tensor by the same factor.


# %%
def scale(x, factor):
    """Multiply every number in `x` by `factor`.

    x: (...)   factor: a number
    returns (...), in the dtype of x; x itself is left alone
    """
    # BEGIN SOLUTION NO PROMPT
    return x * factor
    # END SOLUTION
    raise NotImplementedError("scale")


# %%
def test_scale_doubles():
    """Doubling 1, 2, 3 gives 2, 4, 6."""
    doubled = scale(torch.tensor([1.0, 2.0, 3.0]), 2)
    assert doubled.tolist() == [2.0, 4.0, 6.0], f"expected [2, 4, 6], got {doubled.tolist()}"


def test_scale_keeps_the_shape():
    """The result has the shape of the input."""
    shape = tuple(scale(torch.ones(2, 3), 5).shape)
    assert shape == (2, 3), f"expected shape (2, 3), got {shape}"


# %%
if __name__ == "__main__":
    line = scale(torch.arange(5.0), 0.5)

    print("half of 0 to 4:", line.tolist())

# %% [markdown]
# ## 2. An affine layer
#
# $y = W x + b$, with $W$ of shape (out, in).


# %%
class Affine(nn.Module):
    """Multiply by a matrix and add a vector.

    Parameters: `weight` (out_features, in_features) and `bias` (out_features,).
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        """x: (..., in_features), returns (..., out_features); another width raises ValueError."""
        # BEGIN SOLUTION NO PROMPT
        if x.shape[-1] != self.weight.shape[1]:
            raise ValueError(f"expected {self.weight.shape[1]} features, got {x.shape[-1]}")
        product = x @ self.weight.transpose(0, 1)  # (..., out_features)

        return product + self.bias
        # END SOLUTION
        raise NotImplementedError("Affine.forward")


# %%
def test_affine_maps_to_the_new_width():
    """Three features become two."""
    shape = tuple(Affine(3, 2)(torch.ones(4, 3)).shape)
    assert shape == (4, 2), f"expected shape (4, 2), got {shape}"


# %%
if __name__ == "__main__":
    print(Affine(3, 2)(scale(line[:3], 2.0)))
