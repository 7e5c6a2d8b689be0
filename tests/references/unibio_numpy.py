"""Algorithms 1 and 2 and the released script's loop, one trajectory at a time, written for reading.

Derivatives and noise come in as functions, so that the same numbers can be fed to both sides.
"""

import math

import numpy as np


def epoch_plan(K, T1, p):
    """[(⌊T_k⌋, γ_k/γ_1, D_k/D_1)], T_k real-valued, while T_1 + … + T_k ≤ K."""
    plan, k, used = [], 1, 0.0
    while used + T1 * 2 ** (2 * (p - 1) * (k - 1) / p) <= K:
        T_k = T1 * 2 ** (2 * (p - 1) * (k - 1) / p)
        plan.append((math.floor(T_k), 2.0 ** -(k - 1), 2.0 ** (-(k - 1) / p)))
        used, k = used + T_k, k + 1
    return plan


def epoch_sgd(gradient, y, K, T1, D1, gamma, p, average="first"):
    """Algorithm 1; ``gradient`` is called once a step, in order, and may be noisy. Also returns all iterates."""
    centre, visited = y, []
    for length, step_factor, radius_factor in epoch_plan(K, T1, p):
        w = [centre]
        for _ in range(length):
            moved = w[-1] - gamma * step_factor * gradient(w[-1])
            distance = math.sqrt(float(np.dot(moved - centre, moved - centre)))
            if distance > D1 * radius_factor:
                moved = centre + (moved - centre) * (D1 * radius_factor / distance)
            w.append(moved)
        visited.append((centre, D1 * radius_factor, w))
        centre = sum(w[:-1] if average == "first" else w[1:]) / length
    return centre, visited


class Mixed:
    """Coordinate-wise Example 3: g = Σ y_i^p/p − y_i sin u_i, f = Σ clip(y_i^{p−1}), u = R x, p even."""

    def __init__(self, p, R):
        self.p, self.R = p, np.asarray(R, dtype=float)

    def grad_lower(self, x, y):
        return y ** (self.p - 1) - np.sin(self.R @ x)

    def hessian(self, y):
        return np.diag((self.p - 1) * y ** (self.p - 2))

    def cross(self, x):
        """∇²_xy g, d_x × d_y."""
        return -(self.R.T @ np.diag(np.cos(self.R @ x)))

    def grad_upper_y(self, y):
        s = y ** (self.p - 1)
        return np.where(np.abs(s) <= np.pi / 2, np.cos(s), 0.0) * (self.p - 1) * y ** (self.p - 2)

    def gradient(self, x):
        """∇φ(x)."""
        u = self.R @ x
        return self.R.T @ (np.cos(u) * np.cos(np.sin(u)))


def estimate(problem, x, y, Q, c, floor, xi, skip):
    """ĥ(x, y): the generalised Neumann sum at the moved point; ``skip`` is told of every lower sample used."""
    at = y if problem.p == 2 else np.where(y < 0, -1.0, 1.0) * np.maximum(np.abs(y), floor)
    D = (problem.p - 1) * np.abs(at) ** (problem.p - 2)
    r = problem.grad_upper_y(at) / D
    v = c * r
    for _ in range(Q - 1):
        skip()
        r = r - c * problem.hessian(at) @ r / D
        v = v + c * r
    skip()
    return xi - problem.cross(x) @ v


def unibio(
    problem, x, y, T, *, eta, gamma, beta, I, K, K0, T1, D1, Q, c, floor, lower_noise, upper_noise,  # noqa: E741
    average="first",
):  # fmt: skip
    """Algorithm 2. ``lower_noise()`` and ``upper_noise()`` give the next sample; returns [(x_t, y, m)], t = 0 … T."""

    def solve(x, y, budget):
        return epoch_sgd(
            lambda w: problem.grad_lower(x, w) + lower_noise(), y, budget, T1, D1, gamma, problem.p, average
        )[0]  # fmt: skip

    y = solve(x, y, K0)
    m = np.zeros_like(x)
    path = [(x, y, m)]
    for t in range(T):
        if t > 0 and t % I == 0:
            y = solve(x, y, K)
        m = beta * m + (1 - beta) * estimate(problem, x, y, Q, c, floor, upper_noise(), lower_noise)
        norm = math.sqrt(float(m @ m))
        if norm > 0:
            x = x - eta * m / norm
        path.append((x, y, m))
    return path


def released(problem, x, T, *, eta, gamma, beta, I, K, T1, D1, lower_noise, start, gradient_noise):  # noqa: E741
    """The released script's loop in one dimension: closed-form hypergradient, random starts, last-T averages."""

    def solve(x):
        return epoch_sgd(
            lambda w: problem.grad_lower(x, w) + lower_noise(), start(), K, T1, D1, gamma, problem.p, "last"
        )[0]  # fmt: skip

    y, m = solve(x), np.zeros_like(x)
    path = [(x, y)]
    for t in range(T):
        if t > 0 and t % I == 0:
            y = solve(x)
        inside = np.abs(y ** (problem.p - 1)) <= np.pi / 2
        m = beta * m + (1 - beta) * (np.where(inside, problem.gradient(x), 0.0) + gradient_noise())
        x = x - eta * np.sign(m)
        path.append((x, y))
    return path
