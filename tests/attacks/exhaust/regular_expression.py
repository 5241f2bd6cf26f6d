"""Has a regular expression try an exponential number of ways.

verdict: 10 points
says: used more than or did not answer within
"""

import re

re.match("(a|a)*$", "a" * 64 + "b")
