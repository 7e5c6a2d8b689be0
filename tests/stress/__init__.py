"""Tests that take minutes: ``make stress`` and ``make slurm-test``. ``make test`` runs short versions of some."""
