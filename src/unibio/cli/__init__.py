"""The command line: ``unibio COMMAND`` and ``python -m unibio``. It may import everything, and nothing imports it."""
