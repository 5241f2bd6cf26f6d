"""Asks for a tensor of a petabyte, and for one of as many elements as a number can count.

verdict: 10 points
"""

for shape in ((2**47,), (2**31, 2**31), (2**62,)):
    attempt(torch.empty, shape)
