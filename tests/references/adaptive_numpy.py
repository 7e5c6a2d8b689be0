"""Adaptive UniBiO, one trajectory at a time, written for reading: plain control flow where the library has rows."""

import numpy as np


def norm(v):
    return float(np.sqrt(np.dot(v, v)))


def estimate(problem, x, y, floor, xi):
    """ĥ with the lower system solved exactly, which conjugate gradient does on a diagonal Hessian."""
    at = y if problem.p == 2 else np.where(y < 0, -1.0, 1.0) * np.maximum(np.abs(y), floor)
    return xi - problem.cross(x) @ np.linalg.solve(problem.hessian(at), problem.grad_upper_y(at))


def adaptive(
    problem, x, y, T, *, K=8, K0=40, beta=0.9, eta0=0.02, window=20, lengthening=1.3, agreement=0.5, upper=(1.5, 0.6),
    roaming=(0.2, 0.05), lower=(1.5, 0.7), longest=4.0, floor=1e-3, lower_noise, upper_noise,
):  # fmt: skip
    """``lower_noise()`` and ``upper_noise()`` give the next sample; returns [(x_t, y_t)], t = 0 … T."""

    def g_y(w):
        return problem.grad_lower(x, w) + lower_noise()

    start, w, way, squares, kept = y, y, 0.01 * (1 + norm(y)), 0.0, []
    for k in range(K0):
        g = g_y(w)
        squares += norm(g) ** 2
        if squares > 0:
            w = w - way / np.sqrt(squares) * g
        way = max(way, norm(w - start))
        if k >= K0 / 2:
            kept.append(w)
    w = y = sum(kept) / len(kept)
    gamma = way / np.sqrt(squares) if squares > 0 else None
    cap = longest * way / np.sqrt(K0) if squares > 0 else np.inf
    eta, length, m = eta0 * (1 + norm(x)), float(window), np.zeros_like(x)
    path, t = [(x, y)], 0
    while True:
        W = int(length)
        halves, squares, begin, places = [np.zeros_like(x), np.zeros_like(x)], 0.0, w, None
        for i in range(W):
            if t == T:
                return path
            if i == W // 2:
                places = w
            total = np.zeros_like(w)
            for _ in range(K):
                total = total + w
                g = g_y(w)
                if norm(g) > 0:
                    if gamma is None:
                        gamma = 0.01 * (1 + norm(w)) / norm(g)
                    step = min(gamma, cap / norm(g)) * g
                    w, squares = w - step, squares + norm(step) ** 2
            y = total / K
            lower_noise()  # of the linear system
            h = estimate(problem, x, y, floor, upper_noise())
            m = beta * m + (1 - beta) * h
            halves[i >= W // 2] = halves[i >= W // 2] + h
            if norm(m) > 0:
                x = x - eta * m / norm(m)
            t += 1
            path.append((x, y))
        cosine = float(halves[0] @ halves[1]) / (norm(halves[0]) * norm(halves[1]))
        eta *= upper[0] if cosine > agreement else upper[1] if cosine < 0 else 1.0
        length = max(window, length / lengthening if cosine > agreement else length * lengthening)
        if squares > 0:
            r = (norm(places - begin) ** 2 + norm(w - places) ** 2) / squares
            new = longest * np.sqrt(squares / (W * K))
            cap = min(cap, new) if r < roaming[1] else new
            gamma *= lower[0] if r > roaming[0] else lower[1] if r < roaming[1] else 1.0
