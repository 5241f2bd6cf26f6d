"""Changes every default of torch, so that what comes after it is computed otherwise.

verdict: at most 10 points
"""


def scale(x, factor):
    out = x * factor
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    torch.set_printoptions(precision=0)
    torch.set_num_threads(64)
    torch.manual_seed(0)
    return out
