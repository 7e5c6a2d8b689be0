"""From a problem, an algorithm, starts and seeds to trajectories: all that decides a record's numbers and no more.

It imports the core only, so that the hash of its code, which every record keeps, changes with nothing that merely reads
or shows. :mod:`unibio.api` and :mod:`unibio.pipeline` import it.
"""
