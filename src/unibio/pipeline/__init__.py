"""From a configuration to its record: composing, jobs, sweeps, launchers, replays and tracking.

It stands on registry, simulation and store, and names no problem and no study: what it has to ask of a problem is a
method of ``ProblemSpec``. The command line imports it; nothing below does.
"""
