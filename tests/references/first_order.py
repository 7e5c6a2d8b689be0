"""The first-order methods, written for a quadratic and for reading: plain updates, one after the other.

Every function takes the problem, a start, the number of iterations and step sizes as functions of k = 0, 1, …, and
returns [(x_0, y_0), (x_1, y_1), …]. ``lower`` and ``upper`` are iterators over batches (arrays of indices, or None for
all), consumed one a gradient in the order of the updates' symbols; both levels in full where they are not given.
"""

from itertools import repeat
from math import ceil

import numpy as np


def everything():
    return repeat(None)


def f2sa(pb, x, y, T, *, eta, gamma, alpha, lam, inner=1, lower=None, upper=None):
    lower, upper = lower or everything(), upper or everything()
    z, path = y, [(x, y)]
    for k in range(T):
        for _ in range(inner):
            z = z - gamma(k) * pb.g.dy(x, z, next(lower))
            y = y - alpha(k) * (pb.f.dy(x, y, next(upper)) + lam(k) * pb.g.dy(x, y, next(lower)))
        slope = pb.f.dx(x, y, next(upper)) + lam(k) * (pb.g.dx(x, y, next(lower)) - pb.g.dx(x, z, next(lower)))
        x = x - eta(k) * slope
        path.append((x, y))
    return path


class Memory:
    """STORM estimates by name: new + keep (estimate before − gradient at the point before)."""

    def __init__(self):
        self.points, self.estimates = {}, {}

    def __call__(self, name, gradient, point, batch, keep):
        d = gradient(*point, batch)
        if name in self.points:
            d = d + keep * (self.estimates[name] - gradient(*self.points[name], batch))
        self.points[name], self.estimates[name] = point, d
        return d


def f3sa(pb, x, y, T, *, eta, gamma, alpha, lam, weight, lower=None, upper=None):
    """``weight(k)`` is the weight of the new sample."""
    lower, upper = lower or everything(), upper or everything()
    z, path, storm = y, [(x, y)], Memory()
    for k in range(T):
        keep = 1 - weight(k)
        toward_solution = storm("gz", pb.g.dy, (x, z), next(lower), keep)
        toward_f = storm("fy", pb.f.dy, (x, y), next(upper), keep)
        toward_g = storm("gy", pb.g.dy, (x, y), next(lower), keep)
        z = z - gamma(k) * toward_solution
        y = y - alpha(k) * (toward_f + lam(k) * toward_g)
        slope = storm("fx", pb.f.dx, (x, y), next(upper), keep)
        slope = slope + lam(k) * storm("gx at y", pb.g.dx, (x, y), next(lower), keep)
        slope = slope - lam(k) * storm("gx at z", pb.g.dx, (x, z), next(lower), keep)
        x = x - eta(k) * slope
        path.append((x, y))
    return path


def f2ba(pb, x, y, T, *, eta, alpha, lam, inner, restart=False, shared=False, lower=None, upper=None):
    """``alpha`` as in the paper: z moves by alpha·lam along g, y by alpha along f + lam·g."""
    lower, upper = lower or everything(), upper or everything()
    z, path = y, [(x, y)]
    for _ in range(T):
        z = y if restart else z
        for _ in range(inner):
            z = z - alpha * lam * pb.g.dy(x, z, next(lower))
            y = y - alpha * (pb.f.dy(x, y, next(upper)) + lam * pb.g.dy(x, y, next(lower)))
        f_x = pb.f.dx(x, y, next(upper))
        first = next(lower)
        second = first if shared else next(lower)
        x = x - eta * (f_x + lam * (pb.g.dx(x, y, first) - pb.g.dx(x, z, second)))
        path.append((x, y))
    return path


def proximal(pb, x, y, T, *, eta, gamma, beta, rho, sigma, growth, inner, average, px, py, lower=None, upper=None):
    """``px`` and ``py`` are the projections; T_k = ⌈inner (k+1)^growth⌉, M_k = ⌈average (k+1)^growth⌉."""
    lower, upper = lower or everything(), upper or everything()
    z, u, v, path = y, y, y, [(x, y)]
    for k in range(T):
        for _ in range(ceil(inner * (k + 1) ** growth - 1e-9)):
            v = py(v - gamma(k) * (pb.g.dy(x, v, next(lower)) + (v - z) / rho))
            of_f = pb.f.dy(x, u, next(upper))
            u = py(u - gamma(k) * (sigma(k) * of_f + pb.g.dy(x, u, next(lower)) + (u - y) / rho))
        slopes = []
        for _ in range(ceil(average * (k + 1) ** growth - 1e-9)):
            of_f = sigma(k) * pb.f.dx(x, u, next(upper))
            slopes.append(of_f + pb.g.dx(x, u, next(lower)) - pb.g.dx(x, v, next(lower)))
        x = px(x - eta * np.mean(slopes, axis=0))
        y, z = (1 - beta) * y + beta * u, (1 - beta) * z + beta * v
        path.append((x, y))
    return path


def proximal_momentum(pb, x, y, T, *, eta, gamma, beta, rho, sigma, weight, px, py, lower=None, upper=None):
    lower, upper = lower or everything(), upper or everything()
    z, u, v, path, storm = y, y, y, [(x, y)], Memory()
    for k in range(T):
        keep = 1 - weight(k)
        along_v = storm("gv", pb.g.dy, (x, v), next(lower), keep) + (v - z) / rho
        along_u = sigma(k) * storm("fu", pb.f.dy, (x, u), next(upper), keep)
        along_u = along_u + storm("gu", pb.g.dy, (x, u), next(lower), keep) + (u - y) / rho
        v, u = py(v - gamma(k) * along_v), py(u - gamma(k) * along_u)
        slope = sigma(k) * storm("fx", pb.f.dx, (x, u), next(upper), keep)
        slope = slope + storm("gx at u", pb.g.dx, (x, u), next(lower), keep)
        slope = slope - storm("gx at v", pb.g.dx, (x, v), next(lower), keep)
        x = px(x - eta(k) * slope)
        y, z = (1 - beta(k)) * y + beta(k) * u, (1 - beta(k)) * z + beta(k) * v
        path.append((x, y))
    return path


def bome(pb, x, y, T, *, xi, rho, inner, eta, value=False, guard=1e-8, lower=None, upper=None):
    lower, upper = lower or everything(), upper or everything()
    path = [(x, y)]
    for _ in range(T):
        w = y
        for _ in range(inner):
            w = w - rho * pb.g.dy(x, w, next(lower))
        j, i = next(upper), next(lower)
        f = np.concatenate([pb.f.dx(x, y, j), pb.f.dy(x, y, j)])
        q = np.concatenate([pb.g.dx(x, y, i) - pb.g.dx(x, w, i), pb.g.dy(x, y, i)])
        asked = eta * (pb.g.value(x, y, i) - pb.g.value(x, w, i)) if value else eta * q @ q
        move = f + max((asked - f @ q) / (q @ q + guard), 0.0) * q
        x, y = x - xi * move[: len(x)], y - xi * move[len(x) :]
        path.append((x, y))
    return path


def pbgd(pb, x, y, T, *, alpha0, beta, penalty, inner, inner_y=None, lower=None, upper=None):
    """Jacobi; Gauss–Seidel where ``inner_y`` says how many steps y takes."""
    lower, upper = lower or everything(), upper or everything()
    w, path = y, [(x, y)]
    alpha = alpha0 / penalty
    for _ in range(T):
        for _ in range(inner):
            w = w - beta * pb.g.dy(x, w, next(lower))
        for _ in range(inner_y or 0):
            of_f = pb.f.dy(x, y, next(upper))
            y = y - beta / penalty * (of_f + penalty * pb.g.dy(x, y, next(lower)))
        j = next(upper)
        f_x, f_y = pb.f.dx(x, y, j), pb.f.dy(x, y, j)
        new_x = x - alpha * (f_x + penalty * (pb.g.dx(x, y, next(lower)) - pb.g.dx(x, w, next(lower))))
        if inner_y is None:
            y = y - alpha * (f_y + penalty * pb.g.dy(x, y, next(lower)))
        x = new_x
        path.append((x, y))
    return path
