"""Broken twins: what every rule says of runs of algorithms that are broken on purpose, and of runs that are not."""
