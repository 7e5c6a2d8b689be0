"""What studies share: study, claim, drawing, evidence, and the words, numbers and looks that go with them.

It reads records through :mod:`unibio.store`. Studies and the report import it; a study imports no other study, so what
two of them need belongs here.
"""
