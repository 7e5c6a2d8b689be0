"""One file an algorithm, to be read beside its pseudocode.

Each imports the core, or the base class of another algorithm, and nothing else. They are looked up by name in
:mod:`unibio.registry`, which imports them; nobody else has to.
"""
