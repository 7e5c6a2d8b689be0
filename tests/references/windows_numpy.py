"""UniBiO with p and the rule for η of UniBiO without it, one trajectory at a time, written for reading."""

import numpy as np

from references.unibio_numpy import epoch_sgd, estimate


def norm(v):
    return float(np.sqrt(np.dot(v, v)))


def windows(
    problem, x, y, T, *, eta, gamma, beta, I, K, K0, T1, D1, Q, c, floor, window, lengthening, agreement, upper,  # noqa: E741
    lower_noise, upper_noise,
):  # fmt: skip
    """``lower_noise()`` and ``upper_noise()`` give the next sample; returns [(x_t, y_t)], t = 0 … T, and every η."""

    def solve(x, y, budget):
        return epoch_sgd(lambda w: problem.grad_lower(x, w) + lower_noise(), y, budget, T1, D1, gamma, problem.p)[0]

    y, m, length = solve(x, y, K0), np.zeros_like(x), float(window)
    path, etas, estimates = [(x, y)], [eta], []
    for t in range(T):
        if t > 0 and t % I == 0:
            y = solve(x, y, K)
        h = estimate(problem, x, y, Q, c, floor, upper_noise(), lower_noise)
        estimates.append(h)
        m = beta * m + (1 - beta) * h
        x = x - eta * m / norm(m)
        path.append((x, y))
        W = int(length)
        if len(estimates) == W:
            a, b = sum(estimates[: W // 2]), sum(estimates[W // 2 :])
            cosine = float(a @ b) / (norm(a) * norm(b))
            if cosine > agreement:
                eta, length = eta * upper[0], max(window, length / lengthening)
            else:
                eta, length = eta * (upper[1] if cosine < 0 else 1.0), length * lengthening
            etas.append(eta)
            estimates = []
    return path, etas
