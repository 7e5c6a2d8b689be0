"""Hyper-cleaning of sentence pairs with a recurrent network: the problem, the network, its derivatives and its memory.

Only :mod:`unibio.problems.nli.cleaning` is meant for the registry; the other modules are its parts.
"""
