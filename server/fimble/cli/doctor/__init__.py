"""``fimble doctor``: what was found, what is wrong, how to fix it.

It must work where nothing else does.  So whatever is not in the standard library is imported inside a check, and what
could end the process is tried in another one.
"""
