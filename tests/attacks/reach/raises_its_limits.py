"""Raises each of its limits.

verdict: 10 points
"""

for number in (
    resource.RLIMIT_CPU,
    resource.RLIMIT_AS,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
):
    soft, hard = resource.getrlimit(number)
    attempt(resource.setrlimit, number, (hard + 1, hard + 1))
    attempt(resource.setrlimit, number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
