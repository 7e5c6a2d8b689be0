"""What is measured, section by section, in the order of the tables, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import against_scalar
import compiled
import dashboards
import example3
import harness
import loops
import memory
import methods
import models
import network
import quadratic
import startup
import users
from measure import Row


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        scalar: against scalar code, random numbers, history and shares of the time.
        example3, quadratic, users: against what a user would pick or write instead.
        models: problems of networks, against betty-ml and torchopt.
        loops: trajectories with compiled loops and without.
        memory: sizes of the memory runs.
        compile_limit: seconds that ``torch.compile`` may take; 0 leaves it out.
        methods: how large the problems are on which methods are compared with their oracles.
        network: how wide the recurrent network is, and its batches.
        harness: how many jobs are run and listed to see what sweeps cost.
        dashboards: how long a run with a dashboard and without takes, and how often it is run.
        startup: how many jobs are planned, and how large the largest job and problem are.
    """

    scalar: against_scalar.Scale = field(default_factory=against_scalar.Scale)
    example3: example3.Scale = field(default_factory=example3.Scale)
    quadratic: quadratic.Scale = field(default_factory=quadratic.Scale)
    users: users.Scale = field(default_factory=users.Scale)
    models: models.Scale = field(default_factory=models.Scale)
    loops: tuple[int, ...] = (1, 100, 10_000)
    memory: tuple[int, ...] = (2_500, 5_000, 10_000, 20_000)
    compile_limit: float = 60.0
    methods: methods.Scale = field(default_factory=methods.Scale)
    network: network.Scale = field(default_factory=network.Scale)
    harness: harness.Scale = field(default_factory=harness.Scale)
    dashboards: dashboards.Scale = field(default_factory=dashboards.Scale)
    startup: startup.Scale = field(default_factory=startup.Scale)


#: A few runs and steps: does everything work?
TINY = Scale(
    against_scalar.Scale(64, 4, 2, 1, 1, (4,)),
    example3.Scale(((1, 4), (3, 2)), 1),
    quadratic.Scale(((1, 4), (3, 2)), 128, 1),
    users.Scale(4, 4, 90, 6, 1, 20),
    models.Scale(((4, 2),), 1, (0.5,), (0.05, 0.2), 2, (1, 2), 20),
    (1, 7),
    (100, 200),
    0.0,
    methods.Scale(20, 100, (2,), 1),
    network.Scale((8,), 16, 40, 10, 1),
    harness.Scale(2, 20, False),
    dashboards.Scale(0.5, 1, 0.1),
    startup.Scale(3, 40, 4, 100),
)


class Section(NamedTuple):
    """A part of the benchmarks that can be measured alone.

    Attributes:
        what: in words.
        rows: measures it.
    """

    what: str
    rows: Callable[[Scale], dict[str, Row]]


def _loops(scale: Scale) -> dict[str, Row]:
    return loops.rows(scale.loops, scale.scalar.steps, scale.scalar.few_repetitions)


#: By name, in the order in which they are measured and shown.
SECTIONS = {
    "example3": Section("Example 3 against JAX, numba and torch", lambda scale: example3.rows(scale.example3)),
    "quadratic": Section("eight methods on a quadratic against JAX", lambda scale: quadratic.rows(scale.quadratic)),
    "users": Section("a user's own problems against hand-written loops", lambda scale: users.rows(scale.users)),
    "models": Section("networks against betty-ml and torchopt", lambda scale: models.rows(scale.models)),
    "network": Section("UniBiO on the network, against the released loop", lambda scale: network.rows(scale.network)),
    "scalar": Section("batches against scalar Python", lambda scale: against_scalar.rows(scale.scalar)),
    "random": Section("random numbers", lambda scale: against_scalar.random_numbers(scale.scalar)),
    "loops": Section("compiled loops", _loops),
    "history": Section("what logging costs", lambda scale: against_scalar.history_overhead(scale.scalar)),
    "shares": Section("where the time goes", lambda scale: against_scalar.share_rows(scale.scalar)),
    "methods": Section("methods over their oracle calls", lambda scale: methods.rows(scale.methods)),
    "sweeps": Section("what a sweep costs beside computing", lambda scale: harness.rows(scale.harness)),
    "dashboards": Section("a run of a minute with a dashboard", lambda scale: dashboards.rows(scale.dashboards)),
    "startup": Section("start-up, planning and large jobs", lambda scale: startup.rows(scale.startup)),
    "memory": Section(
        "memory of a trajectory", lambda scale: memory.rows(list(scale.memory), min(scale.scalar.steps, 250))
    ),
    "compile": Section("torch.compile", lambda scale: compiled.rows(scale.scalar.runs, scale.compile_limit)),
}
