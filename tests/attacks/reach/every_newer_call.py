"""Makes each system call that is newer than the filter's list.

verdict: 10 points
"""

for number in range(451, 520):
    attempt(lambda: call(number, number, 0, 0, 0, 0, 0, 0))
