"""One file a problem, with its closed form where there is one.

Each imports the core, the network's also :mod:`unibio.data`. They are looked up by name in :mod:`unibio.registry`;
``Example3``, ``Coordinatewise`` and ``Hoelder`` are public names of :mod:`unibio` besides.
"""
