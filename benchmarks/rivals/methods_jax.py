"""Eight methods in JAX on the quadratic, with benchmark_bilevel's steps, lengths and decays, to which ours default.

A method is a start and a step. The step gets the numbers of its iteration's minibatches in the order in which ours
draws them, and a random length; a run is a scan over iterations, ``vmap`` makes seeds of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rivals.quadratic_jax import BATCH, Data

STEP = 0.1
#: Lower steps and steps on z; terms of the Neumann sum.
STEPS, TERMS = 10, 11
#: VRBO: inner steps, and iterations between checkpoints.
INNER, PERIOD = 2, 2

State = dict[str, Any]


class Samples(NamedTuple):
    """Of one iteration: minibatches of the two levels by number, and a length, uniform on 0 … TERMS − 1."""

    lower: Any
    upper: Any
    length: Any


class Method(NamedTuple):
    """How many minibatches an iteration takes, how it starts, and what it does."""

    lower: int
    upper: int
    start: Callable[[Data], State]
    step: Callable[[Data, State, Any, Samples], State]


def _start(*zeros: str) -> Callable[[Data], State]:
    """x, y and zeros: like y where the name is z or u, like x elsewhere."""

    def start(data: Data) -> State:
        like = {name: data.y0 if name in "zu" else data.x0 for name in zeros}
        return {"x": data.x0, "y": data.y0} | {name: jnp.zeros_like(value) for name, value in like.items()}

    return start


def _directions(data: Data, x: Any, y: Any, z: Any, lower: Any, upper: Any) -> tuple[Any, Any, Any]:
    g, f = data.lower, data.upper
    return (
        g.dy(x, y, lower[0]),
        g.hvp(z, lower[1]) - f.dy(x, y, upper[0]),
        f.dx(x, y, upper[0]) - g.jvp(z, lower[2]),
    )


def soba(data: Data, s: State, k: Any, samples: Samples) -> State:
    """Three directions at one point, steps that decay."""
    of_y, of_z, of_x = _directions(data, s["x"], s["y"], s["z"], samples.lower, samples.upper)
    step = STEP * (k + 1.0) ** -0.5
    return {"x": s["x"] - step * of_x, "y": s["y"] - step * of_y, "z": s["z"] - step * of_z}


def ma_soba(data: Data, s: State, k: Any, samples: Samples) -> State:
    """The same with constant steps, and x along a moving average."""
    of_y, of_z, of_x = _directions(data, s["x"], s["y"], s["z"], samples.lower, samples.upper)
    new = {"x": s["x"] - STEP * s["h"], "y": s["y"] - STEP * of_y, "z": s["z"] - STEP * of_z}
    return new | {"h": 0.9 * s["h"] + 0.1 * of_x}


def saba_start(data: Data) -> State:
    """Tables of every block's derivatives at the start, where Hz and Jz are 0."""
    x, y = data.x0, data.y0
    lower, upper = (jnp.arange(len(level.a) // BATCH) for level in (data.lower, data.upper))
    rows = {
        "g_y": jax.vmap(lambda block: data.lower.dy(x, y, block))(lower),
        "Hz": jnp.zeros((len(lower), *y.shape)),
        "Jz": jnp.zeros((len(lower), *x.shape)),
        "f_x": jax.vmap(lambda block: data.upper.dx(x, y, block))(upper),
        "f_y": jax.vmap(lambda block: data.upper.dy(x, y, block))(upper),
    }
    means = {f"mean {name}": table.mean(0) for name, table in rows.items()}
    return {"x": x, "y": y, "z": jnp.zeros_like(y)} | rows | means


def saba(data: Data, s: State, k: Any, samples: Samples) -> State:
    """SOBA's directions, each replaced by its SAGA estimate."""
    x, y, z = s["x"], s["y"], s["z"]
    i, j = samples.lower[0], samples.upper[0]
    new = {"g_y": (i, data.lower.dy(x, y, i)), "Hz": (i, data.lower.hvp(z, i)), "Jz": (i, data.lower.jvp(z, i))}
    new |= {"f_x": (j, data.upper.dx(x, y, j)), "f_y": (j, data.upper.dy(x, y, j))}
    state, estimate = dict(s), {}
    for name, (block, value) in new.items():
        change = value - s[name][block]
        estimate[name] = change + s[f"mean {name}"]
        state[name] = s[name].at[block].set(value)
        state[f"mean {name}"] = s[f"mean {name}"] + change / len(s[name])
    return state | {
        "x": x - STEP * (estimate["f_x"] - estimate["Jz"]),
        "y": y - STEP * estimate["g_y"],
        "z": z - STEP * (estimate["Hz"] - estimate["f_y"]),
    }


def _sgd(data: Data, x: Any, y: Any, blocks: Any) -> Any:
    return lax.scan(lambda y, block: (y - STEP * data.lower.dy(x, y, block), None), y, blocks)[0]


def _neumann(data: Data, x: Any, y: Any, upper: Any, factors: Any, jacobian: Any) -> Any:
    """ĥ by the sum of TERMS terms; minibatches None mean all points."""
    r = data.upper.dy(x, y, upper)

    def term(carry: tuple[Any, Any], block: Any) -> tuple[tuple[Any, Any], None]:
        r, v = carry
        r = r - STEP * data.lower.hvp(r, None if factors is None else block)
        return (r, v + r), None

    blocks = jnp.arange(TERMS - 1) if factors is None else factors
    (_, v), _ = lax.scan(term, (r, r), blocks)
    return data.upper.dx(x, y, upper) - data.lower.jvp(STEP * v, jacobian)


def stocbio(data: Data, s: State, k: Any, samples: Samples) -> State:
    """Lower steps, then the Neumann sum."""
    blocks = samples.lower
    y = _sgd(data, s["x"], s["y"], blocks[:STEPS])
    h = _neumann(data, s["x"], y, samples.upper[0], blocks[STEPS:-1], blocks[-1])
    return {"x": s["x"] - STEP * h, "y": y}


def amigo(data: Data, s: State, k: Any, samples: Samples) -> State:
    """Lower steps, steps on z, one of x."""
    x, blocks, upper = s["x"], samples.lower, samples.upper[0]
    y = _sgd(data, x, s["y"], blocks[:STEPS])
    f_y = data.upper.dy(x, y, upper)
    z = lax.scan(lambda z, b: (z - STEP * (data.lower.hvp(z, b) - f_y), None), s["z"], blocks[STEPS:-1])[0]
    return {"x": x - STEP * (data.upper.dx(x, y, upper) - data.lower.jvp(z, blocks[-1])), "y": y, "z": z}


def sustain(data: Data, s: State, k: Any, samples: Samples) -> State:
    """STORM on both levels with the product of random length."""
    x, y, blocks = s["x"], s["y"], samples.lower

    def product(x: Any, y: Any) -> Any:
        def factor(j: Any, v: Any) -> Any:
            return v - STEP * data.lower.hvp(v, blocks[1 + j])

        v = lax.fori_loop(0, samples.length, factor, TERMS * STEP * data.upper.dy(x, y, samples.upper[0]))
        return data.upper.dx(x, y, samples.upper[0]) - data.lower.jvp(v, blocks[-1])

    keep = jnp.where(k > 0, 1 - 0.5 * (k + 1.0) ** (-2 / 3), 0.0)
    u = data.lower.dy(x, y, blocks[0]) + keep * (s["u"] - data.lower.dy(s["x_old"], s["y_old"], blocks[0]))
    v = product(x, y) + keep * (s["v"] - product(s["x_old"], s["y_old"]))
    step = STEP * (k + 1.0) ** (-1 / 3)
    return {"x": x - step * v, "y": y - step * u, "x_old": x, "y_old": y, "u": u, "v": v}


def sustain_start(data: Data) -> State:
    """No memory, and nowhere else before."""
    return _start("u", "v")(data) | {"x_old": data.x0, "y_old": data.y0}


def f2sa_start(data: Data) -> State:
    """z starts at y."""
    return {"x": data.x0, "y": data.y0, "z": data.y0}


def f2sa(data: Data, s: State, k: Any, samples: Samples) -> State:
    """Steps of z and y, then x along the penalty's gradient; the schedule for exact gradients."""
    x, g, f = s["x"], data.lower, data.upper
    penalty = (k + 1.0) ** (1 / 3)
    alpha = STEP / penalty

    def inner(carry: tuple[Any, Any], blocks: tuple[Any, Any, Any]) -> tuple[tuple[Any, Any], None]:
        z, y = carry
        of_z, of_y, upper = blocks
        z = z - STEP * g.dy(x, z, of_z)
        return (z, y - alpha * (f.dy(x, y, upper) + penalty * g.dy(x, y, of_y))), None

    lower = samples.lower
    pairs = lower[: 2 * STEPS].reshape(STEPS, 2)
    (z, y), _ = lax.scan(inner, (s["z"], s["y"]), (pairs[:, 0], pairs[:, 1], samples.upper[:STEPS]))
    slope = g.dx(x, y, lower[2 * STEPS]) - g.dx(x, z, lower[2 * STEPS + 1])
    return {"x": x - alpha * (f.dx(x, y, samples.upper[STEPS]) + penalty * slope), "y": y, "z": z}


def vrbo(data: Data, s: State, k: Any, samples: Samples) -> State:
    """SPIDER on both levels, refreshed on all points."""
    x, y = s["x"], s["y"]
    v, u = lax.cond(
        k % PERIOD == 0,
        lambda: (_neumann(data, x, y, None, None, None), data.lower.dy(x, y, None)),
        lambda: (s["v"], s["u"]),
    )
    before, now = (x, y), (x - STEP * v, y)
    for blocks, upper in zip(samples.lower.reshape(INNER, TERMS + 1), samples.upper, strict=True):

        def h(x: Any, y: Any, blocks: Any = blocks, upper: Any = upper) -> Any:
            return _neumann(data, x, y, upper, blocks[1:-1], blocks[-1])

        v = v + h(*now) - h(*before)
        u = u + data.lower.dy(*now, blocks[0]) - data.lower.dy(*before, blocks[0])
        before, now = now, (now[0], now[1] - STEP * u)
    return {"x": now[0], "y": now[1], "v": v, "u": u}


METHODS = {
    "soba": Method(3, 1, _start("z"), soba),
    "saba": Method(1, 1, saba_start, saba),
    "ma_soba": Method(3, 1, _start("z", "h"), ma_soba),
    "sustain": Method(TERMS + 1, 1, sustain_start, sustain),
    "stocbio": Method(STEPS + TERMS, 1, _start(), stocbio),
    "amigo": Method(2 * STEPS + 1, 1, _start("z"), amigo),
    "f2sa": Method(2 * STEPS + 2, STEPS + 1, f2sa_start, f2sa),
    "vrbo": Method(INNER * (TERMS + 1), INNER, _start("u", "v"), vrbo),
}


def given(name: str, data: Data, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) after as many iterations as the minibatches, (iterations, …), are for."""
    method = METHODS[name]

    @jax.jit
    def run(data: Data, samples: Samples) -> State:
        def step(state: State, now: tuple[Any, Samples]) -> tuple[State, None]:
            return method.step(data, state, *now), None

        return lax.scan(step, method.start(data), (jnp.arange(len(samples.length)), samples))[0]

    end = run(data, Samples(*map(jnp.asarray, samples)))
    return np.asarray(end["x"]), np.asarray(end["y"])


def own(name: str, data: Data, runs: int, steps: int) -> Callable[[], Any]:
    """So many runs of so many iterations on minibatches of their own, ready to be called."""
    method = METHODS[name]
    blocks = len(data.lower.a) // BATCH

    def run(data: Data, key: Any) -> State:
        def step(state: State, now: tuple[Any, Any]) -> tuple[State, None]:
            k, key = now
            keys = jax.random.split(key, 3)
            lower = jax.random.randint(keys[0], (method.lower,), 0, blocks)
            upper = jax.random.randint(keys[1], (method.upper,), 0, blocks)
            length = jax.random.randint(keys[2], (), 0, TERMS)
            return method.step(data, state, k, Samples(lower, upper, length)), None

        return lax.scan(step, method.start(data), (jnp.arange(steps), jax.random.split(key, steps)))[0]

    program = jax.jit(jax.vmap(run, in_axes=(None, 0)))
    keys = jax.random.split(jax.random.key(0), runs)
    return lambda: jax.block_until_ready(program(data, keys))
