"""Has a regular expression try an exponential number of ways.

verdict: 10 points
says: used more than 0.6 seconds of CPU time or did not answer within 2 seconds
"""

import re

re.match("(a|a)*$", "a" * 64 + "b")
