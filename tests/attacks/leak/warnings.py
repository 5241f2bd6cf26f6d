"""Puts hidden inputs into warnings, logs and the notes of an exception.

verdict: at most 5 points
"""

import logging
import warnings


def scale(x, factor):
    warnings.warn(leak(x))
    logging.critical(leak(x))
    error = ValueError("done")
    error.add_note(leak(x))
    raise error from KeyError(leak(x))
