"""Hydra's own ways: its flags, which show a configuration, and its sweepers, which choose what is run."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from unibio.cli.entry import Parser
from unibio.errors import InputError, unknown


def multirun(arguments: Sequence[str]) -> None:
    """A multirun whose jobs another sweeper of Hydra's chooses: ``-m hydra/sweeper=NAME``, in this process.

    The sweeper is told each job's ``--objective METRIC``, the median over its runs at the end. A job is looked up or
    computed, and recorded, as ever. Which was best is said at the end.

    Raises:
        InputError: what cannot work so; the line says how it can.
        SystemExit: 1 if jobs failed, 130 when asked to stop.
    """
    parser = Parser("unibio run", "a multirun by one of Hydra's sweepers", add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--objective", default="hypergradient_norm")
    options = parser.read(arguments)
    groups = [word for word in options.overrides if word.lstrip("+").startswith("hydra/")]
    for word in groups:
        if not word.lstrip("+").startswith(("hydra/sweeper=", "hydra/sweeper/")):
            raise InputError(f"{word} has no effect here; launcher=local, processes or slurm says where jobs run")
    chosen = [word for word in groups if word.lstrip("+").startswith("hydra/sweeper=")]
    if not chosen:
        raise InputError(f"{groups[0]} belongs to a sweeper that is not named: add hydra/sweeper=NAME")
    if not options.multirun:
        raise InputError(f"{groups[0]} chooses the jobs of a multirun: add -m")
    if params := [word for word in options.overrides if word.lstrip("+").startswith("hydra.sweeper.params")]:
        raise InputError(f"{params[0]}: what varies is written as it is: algorithm.upper_step='interval(0.01,0.1)'")
    if any(word.startswith(("launcher=", "experiment=")) for word in options.overrides):
        raise InputError(
            f"{groups[0]} runs one job after the other in this process, and no experiment or launcher; without it, "
            "unibio sweep runs both"
        )
    from unibio.cli import varied
    from unibio.pipeline.composing import composer, searchpath
    from unibio.pipeline.hydra_internals import parsed, sweepers
    from unibio.pipeline.overrides import read

    with composer() as compose_one:
        name = chosen[0].partition("=")[2]
        if name not in sweepers():
            raise InputError(
                f"{chosen[0]}: Hydra has no such sweeper here (there are {', '.join(sweepers())}); install its "
                "package; or, in our way, list values, unibio sweep KEY=A,B, and search by +grid.algorithm.KEY=[A,B]"
            )
        # A sweeper may have signs of its own for what it varies; what is fixed is checked as everywhere.
        ours = [word for word in options.overrides if not word.lstrip("+").startswith("hydra")]
        given = [_parsed(parsed, word) for word in ours]
        read([one.input_line or "" for one in given if not one.is_sweep_override()])
        varied.check(given, compose_one)
    search = _Search(options.objective)
    sys.argv = [sys.argv[0], "--multirun", *searchpath(), *options.overrides]
    with varied.in_one_line(chosen[0]):
        _under_hydra(search.judged)
    search.say_best()
    if search.failed:
        raise SystemExit(1)


def _parsed(parsed: Callable[[str], Any], word: str) -> Any:
    try:
        return parsed(word)
    except Exception:  # of Hydra's grammar
        raise InputError(f"{word!r} is not KEY=VALUE in Hydra's grammar") from None


class _Search:
    """The jobs that a sweeper of Hydra's has asked for so far.

    Args:
        objective: the metric that it is told.
    """

    def __init__(self, objective: str):
        self.failed = self._asked = 0
        self._objective, self._maximised = objective, False
        self._ends: dict[str, float] = {}

    def judged(self, config: Any) -> float:
        """A job's objective; where it has failed or is not defined, the worst there is: infinite."""
        from unibio.pipeline.job import job_from
        from unibio.pipeline.local import finish_job
        from unibio.simulation.trajectories import Interrupted

        name = "a job"
        self._asked += 1
        try:
            self._maximised = _maximised()
            job = job_from(config)
            name = job.name
            record = finish_job(job).record
        except InputError as error:
            print(f"unibio: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except Interrupted as stopped:
            print(f"unibio: {stopped}; the same command finds what is recorded", file=sys.stderr)
            raise SystemExit(130) from None
        except Exception as error:  # of a computation, whose record holds the traceback; the search goes on
            self.failed += 1
            print(f"unibio: {name} failed: {type(error).__name__}: {error}", file=sys.stderr)
            return self._worst
        metrics = record.summary["metrics"]
        if self._objective not in metrics:
            print(f"unibio: --objective: {unknown('metric', self._objective, metrics)}", file=sys.stderr)
            raise SystemExit(2)
        value = float(metrics[self._objective])
        print(f"{record.path}: {self._objective} {value:.6g}", flush=True)
        if not math.isfinite(value):
            return self._worst
        self._ends[str(record.path)] = value
        return value

    @property
    def _worst(self) -> float:
        return -math.inf if self._maximised else math.inf

    def say_best(self) -> None:
        """Print which of several jobs has the best objective."""
        if self._asked > 1 and self._ends:
            best = (max if self._maximised else min)(self._ends, key=self._ends.__getitem__)
            print(f"best of {self._asked} jobs: {best}: {self._objective} {self._ends[best]:.6g}", flush=True)


def _maximised() -> bool:
    """Whether the sweeper whose job this is looks for large values.

    Raises:
        InputError: it looks for several things at once, and a job has one objective.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    sweeper: Any = OmegaConf.to_container(HydraConfig.get().sweeper, enum_to_str=True)
    direction = sweeper.get("direction")  # Optuna's; Nevergrad's stands below
    if isinstance(direction, list):
        raise InputError("hydra.sweeper.direction lists several directions, but --objective is one; give one of them")
    return direction == "maximize" or bool((sweeper.get("optim") or {}).get("maximize"))


def _under_hydra(task: Callable[[Any], Any]) -> None:
    import hydra

    from unibio.pipeline import conf

    hydra.main(version_base="1.3", config_path=str(conf.conf_dir().resolve()), config_name="config")(task)()


def ask(arguments: Sequence[str]) -> None:
    """Hydra's own flags, which show a configuration or explain themselves and run nothing."""
    parser = Parser("unibio run", "Hydra's own flags", add_help=False)
    parser.add_argument("overrides", nargs="*")
    for flags in (("-m", "--multirun"), ("--hydra-help",), ("--resolve",)):
        parser.add_argument(*flags, action="store_true")
    for flags in (("-c", "--cfg"), ("-p", "--package")):
        parser.add_argument(*flags)
    parser.add_argument("-i", "--info", nargs="?", const="all")
    options = parser.read(arguments)
    for flag, asked, choices in (("--cfg", options.cfg, _SHOWN), ("--info", options.info, _EXPLAINED)):
        if asked is not None and asked not in choices:
            raise unknown(f"choice of {flag}", asked, choices)
    for flag in ("resolve", "package"):
        if getattr(options, flag) and options.cfg is None:
            raise InputError(f"--{flag} goes with --cfg, which shows a configuration: --cfg job --{flag} …")
    from unibio.pipeline.composing import composer, is_multirun, searchpath
    from unibio.pipeline.job import plain_of
    from unibio.pipeline.overrides import read

    with composer() as compose_one:  # or Hydra would say in many lines what is wrong
        if not options.multirun:
            is_multirun(options.overrides, compose_one)
        whole = compose_one([str(one.input_line) for one in read(options.overrides) if not one.is_sweep_override()])
        if options.resolve:
            plain_of(whole)
        if options.package and options.package not in whole:
            raise unknown("section of the configuration,", options.package, map(str, whole))
    passed = [f"--{flag}" for flag in ("multirun", "hydra-help", "resolve") if getattr(options, flag.replace("-", "_"))]
    for flag in ("cfg", "package", "info"):
        passed += [f"--{flag}", getattr(options, flag)] if getattr(options, flag) is not None else []
    sys.argv = [sys.argv[0], *passed, *searchpath(), *options.overrides]
    _under_hydra(lambda _: None)


#: What --cfg and --info show.
_SHOWN = ("job", "hydra", "all")
_EXPLAINED = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
