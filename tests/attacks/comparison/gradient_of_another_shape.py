"""Has `backward` answer with gradients of another shape, dtype and number.

verdict: at most 9 points
"""

torch.autograd.grad = lambda outputs, inputs, *given, **named: [torch.ones(7, 7, dtype=torch.int32)] * 9
