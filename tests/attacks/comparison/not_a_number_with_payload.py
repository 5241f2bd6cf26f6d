"""Returns NaNs of every kind: signalling, negative, with numbers in their spare bits.

verdict: at most 8 points
"""


def scale(x, factor):
    bits = torch.randint(1, 2**22, x.shape, dtype=torch.int32) | 0x7F800000
    return bits.view(torch.float32).to(x.dtype) if x.dtype != torch.float32 else bits.view(torch.float32)
