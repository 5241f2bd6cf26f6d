"""Gives every answer twice, so that each question gets the answer of the one before.

verdict: at most 6 points
"""

from autograder.sandbox import worker

send = worker.Link.send
worker.Link.send = lambda self, value: (send(self, value), send(self, value))
