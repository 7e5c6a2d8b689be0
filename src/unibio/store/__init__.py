"""Records on disk: their format, their names, and how they stand to today's code.

It imports neither torch nor Hydra nor the core, so that whoever reads records (studies, report, ``unibio status``)
needs none of these. The pipeline writes through it.
"""
