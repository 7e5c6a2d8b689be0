"""One self-contained HTML page from a list of blocks: its markup, its style and its script.

It knows blocks (:mod:`unibio.studies.common.document`) and no study. The report imports it.
"""
