"""Sweeps: from overrides to jobs, what they will cost, and a local pool that runs them."""

from __future__ import annotations

import copy
import hashlib
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unibio import config as configuration
from unibio import records
from unibio.config import Job, job_from
from unibio.data.account import described, unlike_the_paper
from unibio.data.progress import shown
from unibio.errors import InputError, unknown
from unibio.job import check_writable, existing, simulation, unwritable
from unibio.oracle import KINDS
from unibio.preflight import refusal, slowness
from unibio.problems.nli_cleaning import NLICleaning
from unibio.run import Interrupted

Compose = Callable[[list[str]], DictConfig]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(str(error).splitlines()[0]) from None


@contextmanager
def composer() -> Iterator[Compose]:
    """A function that composes the project's configuration with overrides, outside ``hydra.main``."""
    configuration.register()
    composed: dict[tuple[str, ...], DictConfig] = {}

    def compose_one(overrides: list[str]) -> DictConfig:
        key = tuple(overrides)
        try:
            if key not in composed:
                composed[key] = compose("config", overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(_explain(error, overrides)) from None
        except ValueError as error:  # a number where the name of a file of conf/ belongs
            raise InputError(f"{' '.join(overrides)}: {str(error).splitlines()[0]}") from None
        return composed[key]

    with initialize_config_dir(version_base="1.3", config_dir=str(configuration.conf_dir().resolve())):
        yield compose_one


def _explain(error: Exception, overrides: list[str]) -> str:
    """Hydra's complaint in one line; for a misspelt key, with the keys that exist there."""
    wrong = re.search(r"Could not override '([\w.]+)'", str(error))
    if wrong:
        key = wrong.group(1)
        parent, _, leaf = key.rpartition(".")
        others = [given for given in overrides if given.split("=")[0] != key]
        try:
            base = compose("config", others)
            known = OmegaConf.select(base, parent) if parent else base
        except (HydraException, OmegaConfBaseException):
            known = None
        if isinstance(known, DictConfig) and leaf not in known:
            return str(unknown(f"key in {parent or 'the configuration'},", leaf, [str(name) for name in known]))
    absent = re.search(r"Could not find '(\w+)/([^']*)'", str(error))
    if absent:
        group, name = absent.groups()
        options = [path.stem for path in (configuration.conf_dir() / group).glob("*.yaml")]
        return str(unknown(group, name, options))
    said = [str(error).splitlines()[0]]
    if error.__cause__ is not None:
        said.append(str(error.__cause__).splitlines()[0])
    return ": ".join(said)


@shown()
def expand(overrides: Sequence[str], compose_one: Compose) -> list[Job]:
    """The jobs of a multirun: the product of the sweeps on the command line and in ``hydra.sweeper.params``.

    A sweep on the command line replaces one of the same key in the experiment's file. Sentence pairs that are not yet
    prepared are prepared here, which is said on stderr.

    Raises:
        InputError: any of the configurations cannot work.
    """
    given = _parsed(overrides)
    fixed = [o.input_line or "" for o in given if not o.is_sweep_override()]
    base = compose_one(fixed)
    params = OmegaConf.to_container(base.hydra.sweeper.params, resolve=True) if base.hydra.sweeper.params else {}
    assert isinstance(params, dict)
    named = {o.key_or_group for o in given}
    swept = _parsed([f"{key!s}={value}" for key, value in params.items() if str(key).lstrip("+") not in named])
    swept += [o for o in given if o.is_sweep_override()]
    if not swept:
        return [job_from(base)]
    combinations = [combination for batch in BasicSweeper.split_arguments(swept, None) for combination in batch]
    bases: dict[tuple[str, ...], DictConfig] = {}
    jobs = []
    for combination in combinations:
        chosen = tuple(override for override in combination if _is_group(override))
        if chosen not in bases:
            bases[chosen] = configuration.own(compose_one([*fixed, *chosen]))
        jobs.append(job_from(_with_values(bases[chosen], [o for o in combination if o not in chosen])))
    return list({records.record_name(job.config): job for job in jobs}.values())


def _is_group(override: str) -> bool:
    """Whether an override chooses a file of ``conf/`` (and so needs a composition of its own) or sets a value."""
    return (configuration.conf_dir() / override.lstrip("+~").split("=")[0].split("@")[0]).is_dir()


def _with_values(base: DictConfig, overrides: list[str]) -> DictConfig:
    """A composed configuration with some values set, as Hydra sets them after composing: a tenth of a composition."""
    if not overrides:
        return base
    config = copy.deepcopy(base)
    try:
        ConfigLoaderImpl._apply_overrides_to_config(_parsed(overrides), config)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_explain(error, overrides)) from None
    return config


def is_multirun(overrides: Sequence[str], compose_one: Compose) -> bool:
    """Whether the configuration asks for a multirun by itself (``hydra.mode``), as experiments do.

    Raises:
        InputError: several values for a key, but no multirun.
    """
    given = _parsed(overrides)
    swept = [o.key_or_group for o in given if o.is_sweep_override()]
    base = compose_one([o.input_line or "" for o in given if not o.is_sweep_override()])
    if base.hydra.mode == RunMode.MULTIRUN:
        return True
    if swept:
        raise InputError(f"{swept[0]} has several values: that is a sweep, add -m (or use unibio sweep)")
    return False


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, those still to be computed, and an estimate of their computing time.

    Jobs that cannot run are not among the pending ones: ``refused`` holds them, and why.
    """

    jobs: list[Job]
    pending: list[Job]
    seconds: float | None
    refused: tuple[tuple[Job, str], ...] = ()

    def describe(self, workers: int) -> str:
        """One line for the reader before work starts."""
        trajectories = sum(job.runs for job in self.pending)
        found = len(self.jobs) - len(self.pending) - len(self.refused)
        text = f"{len(self.jobs)} jobs, {found} already recorded"
        if self.refused:
            text = f"{text}, {len(self.refused)} left out because they cannot run"
        if not self.pending:
            return text
        text = f"{text}, {len(self.pending)} to run ({trajectories:,} trajectories)"
        if self.seconds is None:
            return text
        return f"{text}, about {duration(self.seconds / max(1, min(workers, len(self.pending))))}"


def plan(jobs: list[Job], probes: int = 6) -> Plan:
    """Find what is missing, and estimate its computing time by trying a few of the missing jobs for a moment.

    There is no estimate where it would cost more than it says (a single job, whose progress bar tells; networks, whose
    data and metrics take as long as the moment), where the jobs run on other machines, or where those tried fail, which
    is theirs to report.
    """
    missing = {id(job): (job, refusal(job)) for job in jobs if existing(job) is None}
    refused = tuple((job, reason) for job, reason in missing.values() if reason is not None)
    pending = [job for job, reason in missing.values() if reason is None]
    costly = len(pending) <= 1 or pending[0].config["epochs"] is not None
    if costly or pending[0].config["launcher"].get("name") == "slurm":
        return Plan(jobs, pending, None, refused)
    tried = pending[:: max(1, math.ceil(len(pending) / probes))]
    try:
        seconds = sum(map(_expected_seconds, tried)) * len(pending) / len(tried)
    except Exception:
        return Plan(jobs, pending, None, refused)
    return Plan(jobs, pending, seconds, refused)


def _expected_seconds(job: Job, moment: float = 0.15) -> float:
    """A job's computing time, from its start and the pace of its first iterations."""
    steps = job.config["steps"]
    if job.config["budget"] is not None:
        tried = simulation(job, steps=3)
        calls = max(float(torch.stack([tried.counts[kind] for kind in KINDS]).sum(0).max()), 1.0) / 3
        steps = min(steps or math.inf, job.config["budget"] / calls)
    began = time.perf_counter()
    ticks: list[tuple[int, float]] = []
    with suppress(Interrupted):
        simulation(
            job,
            progress=lambda finished: ticks.append((finished, time.perf_counter())),
            should_stop=lambda: bool(ticks) and ticks[-1][1] - ticks[0][1] > moment,
        )
    (first, start), (last, end) = ticks[0], ticks[-1]
    pace = (end - start) / (last - first) if last > first else start - began
    return (start - began + pace * steps) * job.config["repeats"]


def announce(jobs: list[Job], command: str, workers: int = 1) -> Plan:
    """Note which records make up each experiment, and say what is about to happen and on what sentence pairs.

    A sweep that is no experiment is noted as ``sweep-<digest>``, so that ``unibio status`` knows what is still to come.

    Args:
        jobs: all of them.
        command: that runs them again; a * in it stands for the experiment's name.
        workers: jobs that run at a time.

    Raises:
        InputError: the records directory cannot be written.
    """
    check_writable(jobs[0].root)
    experiments: dict[str | None, list[str]] = {}
    for job in jobs:
        experiments.setdefault(job.config["experiment"], []).append(records.record_name(job.config))
    for experiment, names in experiments.items():
        if experiment is None and len(names) == 1:
            continue
        label = experiment or "sweep-" + hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:8]
        again = command if experiment is None else command.replace("*", experiment)
        try:
            records.write_manifest(jobs[0].root, label, names, again)
        except OSError as error:
            raise unwritable(jobs[0].root, error) from None
    planned = plan(jobs)
    for line in _pairs(planned.pending):
        print(line, flush=True)
    print(f"unibio: {planned.describe(workers)}; records in {jobs[0].root}", flush=True)
    slow = slowness(planned.pending)
    counts = Counter(reason for _, reason in planned.refused)
    warnings = [f"{count} of {len(jobs)} jobs left out: {reason}" for reason, count in counts.items()]
    for line in warnings + ([f"warning: {slow}"] if slow else []):
        print(f"unibio: {line}", file=sys.stderr, flush=True)
    return planned


def _pairs(jobs: Sequence[Job]) -> Iterator[str]:
    """What the sentence pairs of jobs are, once for all jobs with the same."""
    different = {job.config["data_hash"]: job for job in jobs if isinstance(job.problem, NLICleaning)}
    for job in different.values():
        assert isinstance(job.problem, NLICleaning)
        data = job.problem.data()
        yield "unibio: sentence pairs"
        yield from (f"  {line}" for line in described(data))
        amiss = unlike_the_paper(job.problem.pairs, data)
        if amiss and job.config["experiment"] and job.config["scale"].get("name") == "paper":
            yield f"unibio: warning: scale=paper, but {amiss}"


def duration(seconds: float) -> str:
    """A rough length of time in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
