"""Has `backward` answer with strings, handles and exceptions.

verdict: at most 9 points
"""

torch.autograd.grad = lambda outputs, inputs, *given, **named: ["x", object(), {"a": 1}, None]
