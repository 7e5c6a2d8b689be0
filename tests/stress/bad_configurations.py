"""Configurations that cannot work, by kind, and what becomes of them."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from unibio.errors import InputError
from unibio.pipeline.composing import Compose, composer, expand, is_multirun
from unibio.registry import ALGORITHMS, PROBLEMS
from wording import check_message

TOP = ("steps", "seed", "dtype", "budget", "log_points", "repeats", "device", "threads", "records", "progress")
METHODS = ("unibio", "stocbio", "ttsa", "vrbo", "bo_rep", "sustain")


def _misspelt(rng: random.Random, word: str) -> str:
    """A word with two neighbours swapped, a letter missing or one doubled; never the word itself."""
    while True:
        at = rng.randrange(len(word) - 1)
        made = rng.choice(
            [
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at + 1 :],
                word[: at + 1] + word[at:],
            ]
        )
        if made not in (word, ""):
            return made


def _parameters(rng: random.Random) -> tuple[str, str, list[dataclasses.Field]]:
    """(group, name, its parameters) of an algorithm or a problem that composes by itself."""
    if rng.random() < 0.7:
        name = rng.choice(METHODS)
        return "algorithm", name, list(dataclasses.fields(ALGORITHMS[name]))
    return "problem", "example3", list(dataclasses.fields(PROBLEMS["example3"]))


def _bounded(rng: random.Random) -> list[str]:
    while True:
        group, name, fields = _parameters(rng)
        spec = rng.choice(fields)
        meta, value = spec.metadata, abs(rng.gauss(0, 3)) + 0.1
        if "int" in str(spec.type):
            value = round(value) + 1
        found = [meta["above"] - value] if meta.get("above") is not None else []
        found += [meta["at_least"] - value] if meta.get("at_least") is not None else []
        found += [meta["below"] + value] if meta.get("below") is not None else []
        if found:
            return [f"{group}={name}", f"{group}.{spec.name}={rng.choice(found)}"]


def _typed(rng: random.Random) -> list[str]:
    while True:
        group, name, fields = _parameters(rng)
        spec = rng.choice(fields)
        if "str" not in str(spec.type):
            wrong = rng.choice(["abc", "1e", "0,1", "[1,2]", "{a: 1}", "one"])
            value = wrong.replace("0,1", "'0,1'")
            return [f"{group}={name}", f"{group}.{spec.name}={value}"]


def _choice(rng: random.Random) -> list[str]:
    while True:
        group, name, fields = _parameters(rng)
        spec = rng.choice(fields)
        if spec.metadata.get("choices"):
            return [f"{group}={name}", f"{group}.{spec.name}={_misspelt(rng, rng.choice(spec.metadata['choices']))}"]


def _static_axis(rng: random.Random) -> list[str]:
    while True:
        group, name, fields = _parameters(rng)
        cls = {**ALGORITHMS, **PROBLEMS}[name]
        spec = rng.choice(fields)
        if spec.name not in cls.per_run():
            return [f"{group}={name}", f"+grid.{group}.{spec.name}=[1,2]"]


def _misspelt_parameter(rng: random.Random) -> list[str]:
    group, name, fields = _parameters(rng)
    names = {spec.name for spec in fields}
    while True:
        made = _misspelt(rng, rng.choice(fields).name)
        if made not in names:
            return [f"{group}={name}", f"{group}.{made}=1"]


def _not_finite(rng: random.Random) -> list[str]:
    key = rng.choice(["algorithm.upper_step", "algorithm.lower_step", "algorithm.first_radius", "problem.noise"])
    return [f"{key}={rng.choice(['nan', 'inf', '-inf', '1e400'])}"]


def _count(rng: random.Random) -> list[str]:
    key = rng.choice(["steps", "budget", "log_points", "repeats", "threads"])
    return [f"{key}={rng.choice(['0', '-3', '2.5', 'many', str(-rng.randint(1, 10**6))])}"]


def _spelling_of_top(rng: random.Random) -> list[str]:
    return [f"{_misspelt(rng, rng.choice(TOP))}=1"]


def _group(group: str, names: tuple[str, ...]) -> Callable[[random.Random], list[str]]:
    def make(rng: random.Random) -> list[str]:
        while True:
            made = _misspelt(rng, rng.choice(names))
            if made not in names:
                return [f"{group}={made}"]

    return make


def _axis(rng: random.Random) -> list[str]:
    key = rng.choice(["problem.noise", "algorithm.upper_step", "seed"])
    value = rng.choice(
        ["three", "[a,b]", "{cubic: [1, 2, 3]}", "{log: [0, 1, 3]}", "{log: [1, 2]}", "{linear: [0, 1, 0]}", "[nan]",
         "[true]", "{log: [1, 2, 3], linear: [1, 2, 3]}", "{count: 0}", "{count: many}", "[[1],[2]]", "{count: true}",
         "{count: 2.5}", "{log: [1, 2, 2.5]}", "{linear: [a, b, 3]}", "{log: [1, true, 3]}", "{count: 10000000000}",
         "{count: 3, start: 10}", "{linear: [0, 1, 3], count: 3}", "[1e400]", "null", "0.5", "{log: [1, 1, 3]}"]
    )  # fmt: skip
    return [f"+grid.{key}={value}"]


def _seeds(rng: random.Random) -> list[str]:
    """Seeds that are no integers of 64 bits, alone and as an axis."""
    wrong = rng.choice(
        [f"{rng.uniform(-9, 9):.3f}", f"{rng.randint(0, 9)}.0", "true", "'1'", str(2**63 + rng.randint(0, 99)),
         str(-(2**63) - rng.randint(1, 99)), "null", "1e3"]
    )  # fmt: skip
    return [rng.choice([f"+grid.seed=[{rng.randint(0, 9)},{wrong}]", f"+grid={{seed: [{wrong}]}}"])]


def _twice_in_an_axis(rng: random.Random) -> list[str]:
    number, other = rng.randint(1, 9), rng.randint(10, 19)
    values = [str(number), str(other), str(number)]
    rng.shuffle(values)
    key = rng.choice(["grid.seed", "grid.problem.noise", "grid.algorithm.upper_step", "targets.hypergradient_norm"])
    return [f"+{key}=[{','.join(values)}]"]


def _twice_in_a_sweep(rng: random.Random) -> list[str]:
    number = rng.randint(1, 9) * 2
    same = rng.choice([str(number), f"{number}.0" if rng.random() < 0.5 else f"'{number}'"])
    key = rng.choice(["seed", "problem.exponent", "steps", "algorithm.upper_step"])
    return ["-m", f"{key}={number},{number + 2},{same}"]


def _same_run(rng: random.Random) -> list[str]:
    """A sweep over what makes no other run."""
    pauses = f"checkpoint_seconds={rng.randint(1, 9)},{rng.randint(10, 99)}"
    return ["-m", rng.choice(["threads=1,2", "device=cpu,auto", "progress=true,false", "tracker=none,offline", pauses])]


def _no_sweep(rng: random.Random) -> list[str]:
    key = rng.choice(["problem.exponent", "seed", "algorithm.upper_step", "algorithm", "problem"])
    what = rng.choice(["glob(*)", "interval(0,1)", "range(0,1,0)", "range(3,1)", "range(0,1000000000)", "1,[range(2)]"])
    return rng.choice([["-m", f"{key}={what}"], ["-m", f"grid.seed={rng.randint(0, 9)},{rng.randint(10, 99)}"],
                       ["-m", f"+grid.problem.noise={rng.randint(0, 9)},{rng.randint(10, 99)}"]])  # fmt: skip


def _given_twice(rng: random.Random) -> list[str]:
    one, two = rng.randint(1, 99), rng.randint(100, 999)
    key = rng.choice(["seed", "steps", "algorithm.upper_step", "problem.noise", "log_points"])
    return rng.choice(
        [[f"{key}={one}", f"{rng.choice(['', '++'])}{key}={two}"], [f"+grid.seed=[{one}]", f"+grid={{seed: [{two}]}}"],
         [f"+grid.algorithm={{upper_step: [{one}]}}", f"+grid.algorithm={{lower_step: [{two}]}}"],
         ["algorithm=unibio", f"algorithm={rng.choice(METHODS)}"], ["-m", f"seed={one},{two}", f"seed={one}"],
         ["-m", f"+grid.seed=[{one}],[{two}]", f"+grid.seed=[{one}],[{two}]"]]
    )  # fmt: skip


def _left_out(rng: random.Random) -> list[str]:
    section = rng.choice(["grid", "targets", "paper", "scale", "tracker", "launcher", "data", "experiment", "hydra"])
    key = rng.choice([section, *TOP, "algorithm.upper_step", "problem.exponent", "grid.seed", "tracker.mode"])
    return [rng.choice([f"~{key}", f"~{key}={rng.randint(0, 9)}"])]


def _other_case(rng: random.Random) -> list[str]:
    """Names in capital letters, and what others call them."""
    groups = {"algorithm": METHODS, "problem": ("example3", "quadratic"), "scale": ("smoke", "paper"),
              "tracker": ("none", "offline"), "experiment": ("fig1", "runtime")}  # fmt: skip
    group = rng.choice(list(groups))
    name = rng.choice(groups[group])
    others = ["device=gpu", "device=GPU", "dtype=double", "dtype=Float64", f"experiment=fig{rng.choice([2, 3, 4, 6])}"]
    return [rng.choice([f"{group}={name.upper()}", f"{group}={name.capitalize()}", rng.choice(others)])]


def _of_hydra(rng: random.Random) -> list[str]:
    keys = ["hydra.run.dir", "hydra.mode", "hydra/launcher", "hydra.verbose", "hydra.sweeper.params.seed", "+hydra.x"]
    return [f"{rng.choice(keys)}={rng.choice(['RUN', 'joblib', 'true', 'here'])}"]


def _reference(rng: random.Random) -> list[str]:
    key = rng.choice(["algorithm.upper_step", "steps", "seed", "problem.noise", "records"])
    inside = rng.choice(["nothing", "x.y", "at:1", "times:a,b", "oc.env:NOT_THERE", "hydra:runtime.cwd", "power:1"])
    return [f"{key}=${{{inside}}}"]


def _empty_axis(rng: random.Random) -> list[str]:
    return [f"+grid.{rng.choice(['problem.noise', 'algorithm.upper_step', 'algorithm.momentum', 'seed'])}=[]"]


def _axis_out_of_range(rng: random.Random) -> list[str]:
    key, value = rng.choice([("algorithm.upper_step", -1), ("algorithm.momentum", 1), ("problem.noise", -0.5)])
    return [f"+grid.{key}=[0.1,{value * rng.randint(1, 9)},0.2]"]


def _axis_name(rng: random.Random) -> list[str]:
    key = rng.choice(["seed", "algorithm.upper_step", "problem.noise"])
    return [f"+grid.{_misspelt(rng, key)}=[0.1,0.2]"]


def _target(rng: random.Random) -> list[str]:
    return [rng.choice([f"+targets.{_misspelt(rng, 'hypergradient_norm')}=[0.1]", "+targets.value=[0.1]",
                        "targets.hypergradient_norm=low", "targets.hypergradient_norm=[low]"])]  # fmt: skip


def _choice_of_harness(rng: random.Random) -> list[str]:
    key, accepted = rng.choice([("dtype", "float64"), ("device", "cuda"), ("tracker.mode", "offline")])
    return [f"{key}={_misspelt(rng, accepted)}"]


def _launcher(rng: random.Random) -> list[str]:
    return rng.choice(
        [["launcher=processes", f"launcher.workers={-rng.randint(0, 9)}"],
         ["launcher=processes", "launcher.workers=two"],
         ["launcher=slurm", "launcher.timeout_min=soon"],
         ["launcher=slurm", f"launcher.array_parallelism={-rng.randint(0, 9)}"],
         ["launcher=slurm", f"+launcher.{_misspelt(rng, 'constraint')}=1"], ["launcher=processes", "+launcher.gpus=2"]]
    )  # fmt: skip


def _sweep(rng: random.Random) -> list[str]:
    return [f"{rng.choice(['problem.exponent', 'seed', 'steps'])}={rng.randint(1, 9) * 2},{rng.randint(1, 9) * 2}"]


def _syntax(rng: random.Random) -> list[str]:
    return [rng.choice(["steps", "steps=[1", "grid={", "=3", "algorithm.upper_step=", "a b=1", "+grid.seed={count 3}",
                        "problem.noise=(1", "steps==3:", "seed='1"])]  # fmt: skip


def _exponent(rng: random.Random) -> list[str]:
    return [f"problem.exponent={rng.choice([1, 3, 5, 0, -2, 2.5, 7, 9, 1.5])}"]


def _missing(rng: random.Random) -> list[str]:
    return rng.choice([["~problem"], ["~algorithm"], ["steps=null"], ["algorithm.upper_step=null"], ["dtype=null"]])


#: {kind: a maker of overrides}.
KINDS: dict[str, Callable[[random.Random], list[str]]] = {
    "misspelt key": _spelling_of_top,
    "misspelt parameter": _misspelt_parameter,
    "wrong type": _typed,
    "out of range": _bounded,
    "not finite": _not_finite,
    "unknown choice": _choice,
    "unknown algorithm": _group("algorithm", tuple(ALGORITHMS)),
    "unknown problem": _group("problem", tuple(PROBLEMS)),
    "unknown experiment": _group("experiment", ("fig1", "fig5", "lr_search", "schedules", "e1")),
    "unknown launcher or tracker": _group("launcher", ("local", "processes", "slurm")),
    "impossible length or count": _count,
    "impossible exponent": _exponent,
    "no axis": _axis,
    "empty axis": _empty_axis,
    "seeds that are none": _seeds,
    "twice in an axis": _twice_in_an_axis,
    "twice in a sweep": _twice_in_a_sweep,
    "sweep of one and the same run": _same_run,
    "values that nobody can list": _no_sweep,
    "key given twice": _given_twice,
    "key that cannot go": _left_out,
    "name in other letters": _other_case,
    "Hydra's own": _of_hydra,
    "reference to nothing": _reference,
    "axis out of range": _axis_out_of_range,
    "misspelt axis": _axis_name,
    "axis that changes the program": _static_axis,
    "target that is no metric": _target,
    "unknown dtype, device or mode": _choice_of_harness,
    "launcher that cannot work": _launcher,
    "several values without -m": _sweep,
    "syntax": _syntax,
    "something missing": _missing,
}


def wrong(count: int, seed: int = 0) -> Iterator[tuple[str, list[str]]]:
    """(kind, overrides) of different configurations that cannot work, the kinds in turn."""
    rng, seen = random.Random(seed), set()
    made, tried, kinds = 0, 0, list(KINDS)
    while made < count:
        kind = kinds[tried % len(kinds)]
        overrides = KINDS[kind](rng)
        tried += 1
        if tuple(overrides) not in seen:
            seen.add(tuple(overrides))
            made += 1
            yield kind, overrides


def refused(compose_one: Compose, overrides: list[str], root: Path) -> str:
    """What is said to one of them, as ``unibio run`` would.

    Raises:
        AssertionError: it is accepted, what is said is not one line, or something is written.
    """
    given = [*overrides, *([] if any("records" in o for o in overrides) else [f"records={root}"])]
    try:
        if given[0] == "-m":
            given = given[1:]
        else:
            is_multirun(given, compose_one)
        expand(given, compose_one)
    except InputError as error:
        said = str(error)
    else:
        raise AssertionError(f"accepted: {overrides}")
    check_message(said)
    assert not root.exists(), overrides
    return said


def refuse_all(count: int, root: Path, seed: int = 0) -> Counter[str]:
    """How many of each kind were refused, each with one line; see :func:`refused`."""
    counts: Counter[str] = Counter()
    with composer() as compose_one:
        for kind, overrides in wrong(count, seed):
            refused(compose_one, overrides, root)
            counts[kind] += 1
    return counts
