"""A small attack in every run of the tests; ``make adversary`` is the large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adversary import judging
from adversary.attack import KINDS, ask, kept, kind_of, line_of, page, tally
from adversary.judging import PLAIN, Answer, Case
from adversary.problems import Written, rng_of
from adversary.worlds import KINDS as WORLDS
from adversary.worlds import make


@pytest.mark.parametrize("cases", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_nothing_is_silently_wrong_and_nothing_solvable_is_refused(cases):
    """So many cases of every kind of mistake, and two times as many without one."""
    seeds = {
        kind: [s for s in range(100) if kind_of(s) == kind][: cases * (2 if kind == PLAIN else 1)] for kind in KINDS
    }
    found = [answer for those in seeds.values() for seed in those for answer in ask(seed)]
    text, silent, alarms = tally(found)
    assert {answer.kind for answer in found} == set(KINDS)
    assert not silent, text + "".join(f"\n{a}" for a in found if a.outcome == "silent")
    assert alarms <= 0.01, text + "".join(f"\n{a}" for a in found if a.solvable and a.outcome == "told")


def test_an_attack_in_parts_asks_nothing_twice(tmp_path):
    cases = {
        seed: [Answer(seed, PLAIN, "ü", name, "right", True, "a\u2028b") for name in ("cg", "exact")] for seed in (3, 5)
    }
    path = tmp_path / "kept.jsonl"
    assert kept(None) == kept(path) == {}
    lines = "".join(line_of(seed, answers) for seed, answers in cases.items())
    path.write_text(lines + lines[:20], encoding="utf-8")
    assert kept(path) == cases
    assert path.read_text(encoding="utf-8") == lines, "what is added begins a line of its own"


def test_the_readme_says_what_the_page_says():
    root = Path(__file__).parents[2]
    readme, written = ((root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/adversary.md"))
    short = written.split("\n\n")[2].splitlines()
    assert len(short) == 5
    assert all(line in readme for line in short)
    assert short[-1].endswith("| 0 |"), "nothing is silently wrong"


def test_the_page_counts_every_kind():
    found = [Answer(seed, kind_of(seed), "", "cg", "right", kind_of(seed) == PLAIN, "") for seed in range(100)]
    text = page(found, 1000)
    assert f"| without a mistake, and solvable in their dtype | {KINDS[PLAIN]} | {KINDS[PLAIN]} | 0 | 0 |" in text
    assert "| all, of 1,000 cases | 100 | 100 | 0 | 0 |" in text
    for kind, share in KINDS.items():
        assert f"| {kind} | {share} | {share} | {share} | 0 | 0 |" in text


def test_every_stretch_of_seeds_holds_every_kind():
    for first in (0, 1234):
        kinds = [kind_of(seed) for seed in range(first, first + 100)]
        assert {kind: kinds.count(kind) for kind in KINDS} == KINDS


@pytest.mark.parametrize("kind", WORLDS)
def test_a_world_is_what_it_says(kind):
    """y solves the lower level at x, and the formula is the derivative of x ↦ f(x, y*(x)) where that is defined."""
    for seed in range(20):
        world = make(rng_of(seed), kind, finite=seed % 3 == 0, kinks=seed % 2 == 0)
        assert np.abs(world.slope(world.x, world.y)).max() < 1e-10
        if kind not in ("definite", "vanishing"):
            assert not np.isfinite(world.condition(world.y))
            continue
        written = Written(world, torch.float64)

        def value(at: np.ndarray, world=world, written=written) -> float:
            rows = [torch.as_tensor(t)[None] for t in (at, world.solution(at))]
            return float((written.vanishing_upper if world.vanishing else written.regular_upper)(*rows))

        h, truth = 1e-5, world.gradient(world.x, world.y)
        units = np.eye(len(world.x))
        slopes = [(value(world.x + h * unit) - value(world.x - h * unit)) / (2 * h) for unit in units]
        assert np.allclose(slopes, truth, rtol=1e-5, atol=1e-6)


def test_noise_stays_within_its_bound():
    """Whatever is drawn: 1,000 draws of f_y and of H at their extremes and between."""
    for seed in range(20):
        for noise in ("hessian", "upper"):
            world, rng = make(rng_of(seed), "definite", noise=noise), rng_of(1000 + seed)
            truth, bound = world.gradient(world.x, world.y), world.blur(world.x, world.y)
            for _ in range(50):
                s = rng.choice([-1.0, rng.uniform(-1, 1), 1.0], len(world.y))
                hessian = world.hessian(world.y) * (1 + world.sigma * s[0] * (noise == "hessian"))
                f_y = world.y - world.c + world.M.T @ world.x + world.sigma * s * (noise == "upper")
                found = world.x - world.a + world.M @ world.y + world.K.T @ np.linalg.solve(hessian, f_y)
                assert np.linalg.norm(found - truth) <= bound * (1 + 1e-9)


def _off_by(factor: float, right: Any) -> Any:
    def wrong(*given: Any, **options: Any) -> Any:
        value, info = right(*given, **options)
        return factor * value, info

    return wrong


def test_a_library_that_writes_into_the_callers_numbers_is_caught(monkeypatch):
    right = judging.hypergradient

    def writing(problem: Any, x: Any, *given: Any, **options: Any) -> Any:
        found = right(problem, x.clone(), *given, **options)
        x.add_(1e-3)
        return found

    monkeypatch.setattr(judging, "hypergradient", writing)
    found = [a for a in Case(0, PLAIN).answers() if not a.asked.startswith("solve")]
    assert found
    assert all(answer.outcome == "silent" and "caller's x" in answer.detail for answer in found)


@pytest.mark.slow
def test_a_wrong_library_is_caught(monkeypatch):
    """The judge is no rubber stamp: in an easy case a library that is off by half a per cent is silently wrong."""
    right = judging.hypergradient
    monkeypatch.setattr(judging, "hypergradient", _off_by(1.005, right))
    cases = [Case(seed, PLAIN) for seed in range(40) if kind_of(seed) == PLAIN]
    easy = [case for case in cases if case.world.condition(case.world.y) < 100 and not case.world.noise]
    estimates = [case.estimate(name) for case in easy[:5] for name in judging.ESTIMATORS]
    assert {answer.outcome for answer in estimates if answer is not None} <= {"silent", "told"}
    assert "silent" in {answer.outcome for answer in estimates if answer is not None}
