"""One case: a world, perhaps a mistake, what the library said, and whether that was right, told or silently wrong.

Right means within :func:`tolerance`, which was fixed before anything was run: relative to the true hypergradient's
norm, 10^−5 (10^−3 in float32) or two hundred rounding errors times the condition number, and never more than 5 %; and,
for noisy problems, within the bound that holds for every draw besides. Told means an InputError or another exception, a
warning, a NaN, or a run that does not call itself completed. Whatever else a library may do to a caller counts as
silently wrong as well: a start or data that it has written into, and iterates a million times their start in a run that
calls itself completed without a word.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from adversary.mistakes import MISTAKES, Kind
from adversary.problems import DATA, Written, rng_of
from adversary.use import Use
from adversary.worlds import NOISES, World, make
from unibio import Problem, compare, hypergradient, solve
from unibio.registry import algorithm_class

ESTIMATORS = ("generalised_neumann", "neumann", "cg", "exact")
#: Cases without a mistake, and what is hard about the others that have none planted in the code either.
PLAIN = "no mistake"
SOLVERS = ("singular", "indefinite", "ill-conditioned", "too few terms", "too large a step")
#: More terms than this are not asked for: a sum that needs them is a case of too few.
MOST_TERMS = 150
#: κ·eps up to which a case without a mistake is solvable in its dtype.
SOLVABLE = 1e-3
#: Iterates so many times larger than their start (or than 1) are nothing to pass over in silence.
GROWN = 1e6


@dataclass(frozen=True)
class Answer:
    """What came of one question.

    Attributes:
        seed, kind: of the case.
        planted: in words.
        asked: estimator, or "solve ALGORITHM".
        outcome: "right", "told" or "silent".
        solvable: without a mistake and κ·eps ≤ 10^−3, so that anything but "right" is a false alarm.
        detail: what was said, or the error.
    """

    seed: int
    kind: str
    planted: str
    asked: str
    outcome: str
    solvable: bool
    detail: str


def tolerance(condition: float, dtype: torch.dtype) -> float:
    """Of the relative error."""
    return min(0.05, max(1e-5 if dtype == torch.float64 else 1e-3, 200 * condition * torch.finfo(dtype).eps))


@dataclass
class Case:
    """One world, written with or without a mistake, and everything that is asked about it."""

    seed: int
    kind: str
    world: World = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng = rng_of(self.seed)
        self.dtype = torch.float64 if rng.random() < 0.6 else torch.float32
        self.mistake = MISTAKES.get(self.kind, Kind(lambda *_: self.kind))
        self.world = self._world()
        self.written = Written(self.world, self.dtype)
        scalar = not self.mistake.rows and bool(rng.random() < 0.5)
        if not self.world.points and not self.world.noise and rng.random() < 0.3:
            self.written.add_own()
        self.use = Use(*(torch.as_tensor(part, dtype=self.dtype) for part in (self.world.x, self.world.y)))
        self.planted = self.mistake.plant(self.written, self.use, rng)
        if self.kind in MISTAKES and not self.mistake.own:
            self.written.derivatives = {}
        self._rows()
        self.problem: Problem = self.written.problem(scalar)

    def _world(self) -> World:
        """Of a condition number from 1 to 10^10 where the dtype can solve it, and beyond where it cannot."""
        rng, kind = self.rng, self.kind
        definite = kind in ("ill-conditioned", *SOLVERS[3:]) or (kind == PLAIN and rng.random() < 0.7)
        world = kind if kind in ("singular", "indefinite") else str(rng.choice(self.mistake.worlds))
        world = "definite" if definite else world
        solvable = np.log10(SOLVABLE / torch.finfo(self.dtype).eps)
        decades = (0.0, min(10.0, solvable) if kind == PLAIN and rng.random() < 0.6 else 2.0)
        decades = (solvable, solvable + 4) if kind == "ill-conditioned" else decades
        finite = self.mistake.finite or (world in ("definite", "vanishing") and rng.random() < 0.25)
        own = self.mistake.own
        noise = "" if finite or own or world != "definite" or rng.random() < 0.6 else str(rng.choice(NOISES))
        made = make(
            rng,
            world,
            decades=decades,
            finite=finite and not own,
            noise="" if kind in SOLVERS else noise,
            kinks=world != "indefinite" and bool(rng.random() < 0.2),
            zero=kind != "not numbers" and bool(rng.random() < 0.2),
        )
        if kind == "undeclared vanishing":
            y = made.y.copy()
            y[int(rng.integers(len(y)))] = 0.0
            made = dataclasses.replace(made, y=y, b=made.power(y) - made.K @ made.x)
        return made

    def _rows(self) -> None:
        """As many starts as are wanted, each with its own solution where Newton's method finds it."""
        use, world = self.use, self.world
        if self.kind == PLAIN and self.rng.random() < 0.3:
            use.rows = int(self.rng.integers(2, 4))
        if use.rows == 1:
            return
        xs, ys = [_numbers(use.x)], [_numbers(use.y)]
        for _ in range(1, use.rows):
            x = xs[0] + 0.2 * self.rng.standard_normal(len(xs[0]))
            y = world.solution(x) if world.condition(world.y) < 1e3 else None
            xs.append(xs[0] if y is None else x)
            ys.append(ys[0] if y is None else y)
        use.x, use.y = (torch.as_tensor(np.stack(part), dtype=self.dtype) for part in (xs, ys))

    @property
    def arithmetic(self) -> torch.dtype:
        """What the least exact of all numbers are given in."""
        return torch.float32 if self.use.low else self.dtype

    def answers(self) -> list[Answer]:
        """Ask every estimator and a run."""
        found = [self.estimate(name) for name in ESTIMATORS]
        if self.use.runs and self.kind != "too few terms":
            found.append(self.run())
        return [answer for answer in found if answer is not None]

    # Questions -------------------------------------------------------------------------------------------------

    def estimate(self, name: str) -> Answer | None:
        """By one estimator; None where it needs more terms than are asked for."""
        sums = name in ("generalised_neumann", "neumann")
        options = self._terms(name == "generalised_neumann") if sums else {}
        if options is None or (self.kind in SOLVERS[3:] and not sums):
            return None
        x, y = (_rows_of(part) for part in (self.use.x, self.use.y))
        at = np.stack([self.world.y] * len(y)) if self.use.truth_at_solution else y
        condition = max(map(self.world.condition, at))
        solved = condition if np.isfinite(condition) else 1.0
        easy = sums and self.kind not in ("singular", "indefinite") and self.world.noise != "hessian"

        def ask() -> np.ndarray:
            value, info = hypergradient(
                self.problem,
                self.use.x,
                self.use.y,
                estimator=name,
                dtype=self.dtype,
                seed=self.use.numbers(self.seed),
                return_info=True,
                **options,
            )
            return np.concatenate([_rows_of(value.detach()), _numbers(info.lower_gradient_norm).reshape(-1, 1)], 1)

        def judge(value: np.ndarray) -> tuple[bool, str]:
            found = [self._off(v[:-1], self._truth(*row), *row) for v, *row in zip(value, x, at, strict=True)]
            slopes = [self._slope_off(v[-1], *row) for v, *row in zip(value, x, y, strict=True)]
            allowed = tolerance(1.0 if easy else solved, self.arithmetic)
            right = all(error <= allowed + more for error, more in found) and max(slopes) <= 1.0
            return right, f"relative errors {[e for e, _ in found]}, of ‖∇_y g‖ in its tolerances {slopes}"

        return self._judged(name, ask, judge, condition)

    def _terms(self, generalised: bool) -> dict[str, Any] | None:
        rng, kind, starts = self.rng, self.kind, _rows_of(self.use.y)
        values = np.stack([self.world.eigenvalues(y, preconditioned=generalised) for y in starts])
        if kind == "undeclared vanishing":
            values = np.abs(values) + 1e-12
        low, high = float(values.min()), float(np.abs(values).max()) * (1 + self.world.sigma)
        step = 1 / high
        wanted = int(np.ceil(np.log(1e-8) / np.log1p(-min(low * step, 0.999999)))) + 2 if low > 0 else 50
        if kind == PLAIN and wanted > MOST_TERMS:
            return None
        if kind == PLAIN and self.world.vanishing and not generalised and bool((starts == 0).any()):
            return None  # the classical sum does not see such coordinates
        terms = min(wanted, MOST_TERMS)
        if kind == "too few terms":
            terms = max(1, terms // int(rng.integers(3, 50)))
        if kind == "too large a step":
            step, terms = step * rng.uniform(2.2, 20), max(terms, 20)
        return {
            "neumann_step": step,
            "neumann_terms": self.use.numbers(terms),
            "neumann_samples": str(rng.choice(["fresh", "shared"])),
        }

    def run(self) -> Answer:
        """A few iterations of an algorithm; many, and far too long ones, where that is the mistake."""
        rng, use, world = self.rng, self.use, self.world
        terms = {name: self._terms(generalised) for name, generalised in (("stocbio", False), ("unibio", True))}
        if world.p > 2 and not world.vanishing:
            terms["unibio"] = None  # whose Neumann step would have to be smaller for other y
        able = [name for name, found in terms.items() if found is not None or self.kind != PLAIN]
        name = str(rng.choice(["soba", "lower_only", "f2sa", *able]))
        starts = _unlike(*(_rows_of(part) for part in (use.x, use.y)))
        largest = max(float(np.abs(world.eigenvalues(y, preconditioned=False)).max()) for y in starts[1])
        wild = self.kind == "too large a step"
        step = rng.uniform(2.5, 8) / largest if wild else 0.3 / max(largest, 1.0)
        parameters: dict[str, Any] = {"lower_step": step}
        parameters |= {} if name == "lower_only" else {"upper_step": 0.01}
        if name in terms:
            parameters |= {"neumann_step": step} if wild or terms[name] is None else terms[name]
        parameters |= {"auxiliary_step": step} if name == "soba" else {}
        parameters |= {"penalised_step": step / 10} if name == "f2sa" else {}
        steps = use.numbers(int(rng.integers(5, 40)) if wild else 3)
        one = len(starts[0]) == 1
        given = (use.x, use.y) if len(starts[0]) == use.rows else tuple(map(torch.as_tensor, starts))
        compared = one and bool(rng.random() < 0.1)

        def ask() -> np.ndarray:
            if compared:
                algorithm = algorithm_class(name)(**parameters)
                result = compare(self.problem, [algorithm], *given, steps=steps, dtype=self.dtype).results[name]
            else:
                seed = use.numbers(0)
                result = solve(self.problem, name, *given, dtype=self.dtype, steps=steps, seed=seed, **parameters)
            status = set(result.runs["status"])
            if status != {"completed"}:
                raise ArithmeticError(f"status {status}")
            last = result.history.groupby("run")["hypergradient_norm"].last().to_numpy(dtype=float)
            ends = (_rows_of(part.detach()) for part in (result.x, result.y))
            return np.concatenate([*ends, last[:, None]], 1)

        d_x = len(world.x)

        def judge(value: np.ndarray) -> tuple[bool, str]:
            allowed, said, right = 0.0, [], True
            for row, begin in zip(value, starts[1], strict=True):
                x, y, norm = row[:d_x], row[d_x:-1], row[-1:]
                condition = world.condition(y)
                truth = np.array([np.linalg.norm(self._truth(x, y))])
                error, more = self._off(norm, truth, x, y)
                allowed = tolerance(condition if np.isfinite(condition) else 1.0, self.arithmetic) + more
                size = max(np.linalg.norm(y) / max(1.0, np.linalg.norm(begin)), np.linalg.norm(x) / 10)
                right &= bool(error <= allowed) and size <= GROWN
                said.append(f"relative error {error:.2g}, grown {size:.2g} times")
            return right, "; ".join(said)

        condition = max(map(world.condition, starts[1]))
        return self._judged(f"{'compare' if compared else 'solve'} {name}", ask, judge, condition)

    # Judging ---------------------------------------------------------------------------------------------------

    def _truth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self.use.never_right:
            return np.full_like(x, np.nan)
        with np.errstate(all="ignore"):
            try:
                return self.world.gradient(x, y)
            except np.linalg.LinAlgError:
                return np.full_like(x, np.nan)

    def _off(self, value: np.ndarray, truth: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """The relative error, NaN where nothing is right, and what noise may add to it."""
        size = max(float(np.linalg.norm(truth)), 1e-3)
        with np.errstate(all="ignore"):
            try:
                blur = self.world.blur(x, y)
            except np.linalg.LinAlgError:
                blur = 0.0
        return float(np.linalg.norm(value - truth)) / size, blur / size

    def _slope_off(self, norm: float, x: np.ndarray, y: np.ndarray) -> float:
        """How far ‖∇_y g‖ is off, in thousands of rounding errors of its terms; 0 where samples decide it."""
        world = self.world
        if world.noise in ("gradient", "hessian"):
            return 0.0
        products = (
            np.abs(world.H) @ np.abs(y),
            np.abs(world.K) @ np.abs(x),
        )  # rounding does not cancel
        terms = (*products, world.power(y), world.b, world.db, world.dH)
        size = sum(float(np.linalg.norm(part)) for part in terms) * 1e3 * torch.finfo(self.arithmetic).eps
        return abs(float(norm) - float(np.linalg.norm(world.slope(x, y)))) / size

    def _judged(
        self,
        asked: str,
        ask: Callable[[], np.ndarray],
        judge: Callable[[np.ndarray], tuple[bool, str]],
        condition: float,
    ) -> Answer:
        solvable = self.kind == PLAIN and condition * torch.finfo(self.dtype).eps <= SOLVABLE
        before = self._callers()

        def answer(outcome: str, detail: str) -> Answer:
            changed = [name for name, part in self._callers().items() if not np.array_equal(part, before[name])]
            if changed:
                outcome, detail = "silent", f"written into the caller's {', '.join(changed)}; {detail}"
            return Answer(self.seed, self.kind, self.planted, asked, outcome, solvable, detail)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with self.use.around():
                    value = ask()
            except Exception as error:
                return answer("told", f"{type(error).__name__}: {error}")
        if caught:
            return answer("told", f"warning: {caught[0].message}")
        if np.isnan(value).any():
            return answer("told", "NaN")
        right, detail = judge(value)
        return answer("right" if right else "silent", detail)

    def _callers(self) -> dict[str, np.ndarray]:
        """What belongs to the caller, as it is now."""
        given = {"x": self.use.x, "y": self.use.y} | {name: getattr(self.written, name) for name in DATA}
        return {name: _numbers(part).copy() for name, part in given.items()}


def _numbers(value: Any) -> np.ndarray:
    return np.array(value.detach().double().numpy() if isinstance(value, torch.Tensor) else value, dtype=float)


def _rows_of(value: Any) -> np.ndarray:
    return np.atleast_2d(_numbers(value))


def _unlike(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts that are not there twice, in their order."""
    _, first = np.unique(np.concatenate([x, y], 1), axis=0, return_index=True)
    return x[np.sort(first)], y[np.sort(first)]
