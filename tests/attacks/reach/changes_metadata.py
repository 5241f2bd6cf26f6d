"""Changes mode, owner, times and attributes of the results and the tests, which Landlock does not govern.

verdict: 10 points
"""

for name in ("results", "hidden"):
    attempt(os.chmod, TARGET[name], 0o777)
    attempt(os.chown, TARGET[name], os.getuid(), os.getgid())
    attempt(os.utime, TARGET[name], (0, 0))
    attempt(os.setxattr, TARGET[name], "user.attack", b"1")
