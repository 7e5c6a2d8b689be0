"""What a user calls from Python: ``solve``, ``compare`` and ``hypergradient``, and what they return.

Its names are imported from :mod:`unibio` itself. This room and the pipeline stand side by side on registry and
simulation, and neither imports the other.
"""
