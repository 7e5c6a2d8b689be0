"""Loops compiled by numba: each computes what a slower path elsewhere in ``core`` computes, to the bit.

Nothing here is imported before :mod:`unibio.core.compiled` finds it worthwhile.
"""
