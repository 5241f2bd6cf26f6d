"""Returns a module, a function and a class named after hidden inputs.

verdict: at most 6 points
"""


def scale(x, factor):
    return type(leak(x), (torch.nn.Module,), {"forward": lambda self, *given: None})()
