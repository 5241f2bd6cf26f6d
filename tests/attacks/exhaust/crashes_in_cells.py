"""Crashes in three cells and then in every check.

verdict: 5 points
says: crashed its process (SIGABRT)
"""

os.abort()


# %%
ctypes.string_at(0)


# %%
ctypes.memset(id(None), 0, 64)


# %%
def scale(x, factor):
    os.abort()
