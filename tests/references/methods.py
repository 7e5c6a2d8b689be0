"""The second-order methods, written for a quadratic and for reading, with matrices formed and powers taken.

Every function takes the problem, a start and step sizes as functions of the iteration t = 0, 1, …, and returns the
list of iterates [(x_0, y_0), (x_1, y_1), …]. ``batches`` are optional lists of index arrays, one per iteration.
"""

import numpy as np


def neumann_matrix(H, c, Q):
    """c Σ_{q<Q} (I − cH)^q, by powers."""
    step = np.eye(len(H)) - c * H
    return c * sum(np.linalg.matrix_power(step, q) for q in range(Q))


def random_length_matrix(H, c, Q, length):
    """Q c (I − cH)^length."""
    return Q * c * np.linalg.matrix_power(np.eye(len(H)) - c * H, int(length))


def hyper(pb, x, y, V):
    """f_x − J V f_y at (x, y), with V standing for the inverse of the Hessian."""
    return pb.f.dx(x, y) - pb.J @ (V @ pb.f.dy(x, y))


def stocbio(pb, x, y, T, *, eta, rho, D, Q, c, lengths=None):
    path = [(x, y)]
    V = neumann_matrix(pb.H, c, Q)
    for t in range(T):
        for _ in range(D):
            y = y - rho(t) * pb.g.dy(x, y)
        if lengths is not None:
            V = random_length_matrix(pb.H, c, Q, lengths[t])
        x = x - eta(t) * hyper(pb, x, y, V)
        path.append((x, y))
    return path


def ttsa(pb, x, y, T, *, eta, rho, Q, c, lengths):
    return stocbio(pb, x, y, T, eta=eta, rho=rho, D=1, Q=Q, c=c, lengths=lengths)


def soba(pb, x, y, T, *, eta, rho, gamma, lower=None, upper=None):
    z = np.zeros_like(y)
    path = [(x, y)]
    for t in range(T):
        i = None if lower is None else lower[t]
        j = None if upper is None else upper[t]
        H, _, J, _, _ = pb.g.at(i)
        moves = (pb.g.dy(x, y, i), H @ z - pb.f.dy(x, y, j), pb.f.dx(x, y, j) - J @ z)
        y, z, x = y - rho(t) * moves[0], z - gamma(t) * moves[1], x - eta(t) * moves[2]
        path.append((x, y))
    return path


def ma_soba(pb, x, y, T, *, eta, rho, gamma, beta):
    """With ``beta`` the weight of the old average; x moves along the average of before this iteration."""
    z, average = np.zeros_like(y), np.zeros_like(x)
    path = [(x, y)]
    for t in range(T):
        direction = pb.f.dx(x, y) - pb.J @ z
        new = (
            x - eta(t) * average,
            y - rho(t) * pb.g.dy(x, y),
            z - gamma(t) * (pb.H @ z - pb.f.dy(x, y)),
        )
        average = beta * average + (1 - beta) * direction
        x, y, z = new
        path.append((x, y))
    return path


def saba(pb, x, y, T, *, eta, rho, gamma, lower_blocks, upper_blocks, picks, filled=True):
    """``picks`` are the (lower, upper) blocks visited; tables are plain dictionaries of arrays."""
    z = np.zeros_like(y)

    def lower_parts(i):
        H, _, J, _, _ = pb.g.at(lower_blocks[i])
        return {"g_y": pb.g.dy(x, y, lower_blocks[i]), "Hz": H @ z, "Jz": J @ z}

    def upper_parts(j):
        return {"f_y": pb.f.dy(x, y, upper_blocks[j]), "f_x": pb.f.dx(x, y, upper_blocks[j])}

    lower = [lower_parts(i) for i in range(len(lower_blocks))]
    upper = [upper_parts(j) for j in range(len(upper_blocks))]
    if not filled:
        lower = [{k: 0.0 * v for k, v in row.items()} for row in lower]
        upper = [{k: 0.0 * v for k, v in row.items()} for row in upper]
    path = [(x, y)]
    for t in range(T):
        i, j = picks[t]
        d = {}
        for table, row, fresh in ((lower, i, lower_parts(i)), (upper, j, upper_parts(j))):
            for key, new in fresh.items():
                d[key] = new - table[row][key] + np.mean([entry[key] for entry in table], axis=0)
            table[row] = fresh
        x, y, z = (
            x - eta(t) * (d["f_x"] - d["Jz"]),
            y - rho(t) * d["g_y"],
            z - gamma(t) * (d["Hz"] - d["f_y"]),
        )
        path.append((x, y))
    return path


def amigo(pb, x, y, T, *, eta, rho, gamma, n_lower, n_linear):
    z = np.zeros_like(y)
    path = [(x, y)]
    for t in range(T):
        for _ in range(n_lower):
            y = y - rho(t) * pb.g.dy(x, y)
        target = pb.f.dy(x, y)
        # n Richardson steps in closed form: the error contracts by (I − γH)^n
        limit = np.linalg.solve(pb.H, target)
        z = limit + np.linalg.matrix_power(np.eye(len(z)) - gamma(t) * pb.H, n_linear) @ (z - limit)
        x = x - eta(t) * (pb.f.dx(x, y) - pb.J @ z)
        path.append((x, y))
    return path


def storm(pb, x, y, T, *, eta, rho, new_weight, inverse, memory=None):
    """SUSTAIN and MRBO. ``inverse(t)`` stands for H⁻¹ at iteration t, the same at both points.

    ``memory`` = ((x_old, y_old), (d_x, d_y)) starts the recursion; None starts it from the gradients themselves.
    """
    path = [(x, y)]
    for t in range(T):
        V = inverse(t)
        now = (hyper(pb, x, y, V), pb.g.dy(x, y))
        if memory is None:
            d = now
        else:
            (xo, yo), (dx, dy) = memory
            keep = 1 - new_weight(t)
            d = (now[0] + keep * (dx - hyper(pb, xo, yo, V)), now[1] + keep * (dy - pb.g.dy(xo, yo)))
        memory = ((x, y), d)
        x, y = x - eta(t) * d[0], y - rho(t) * d[1]
        path.append((x, y))
    return path


def vrbo(pb, x, y, T, *, eta, rho, period, n_inner, Q, c, final_correction=False):
    V = neumann_matrix(pb.H, c, Q)
    v = u = None
    path = [(x, y)]
    for k in range(T):
        if k % period == 0:
            v, u = hyper(pb, x, y, V), pb.g.dy(x, y)
        x_new = x - eta(k) * v
        before, here = (x, y), (x_new, y)
        for _ in range(n_inner):
            v = v + hyper(pb, *here, V) - hyper(pb, *before, V)
            u = u + pb.g.dy(*here) - pb.g.dy(*before)
            before, here = here, (x_new, here[1] - rho(k) * u)
        if final_correction:
            v = v + hyper(pb, *here, V) - hyper(pb, *before, V)
            u = u + pb.g.dy(*here) - pb.g.dy(*before)
        x, y = here
        path.append((x, y))
    return path


def _into_ball(point, centre, radius):
    gap = np.linalg.norm(point - centre)
    return point if gap <= radius else centre + (point - centre) * radius / gap


def _averaged_steps(pb, x, y, steps, rho, radius, include_start):
    visited = [y]
    for _ in range(steps):
        visited.append(_into_ball(visited[-1] - rho * pb.g.dy(x, visited[-1]), y, radius))
    return np.mean(visited[:-1] if include_start else visited[1:], axis=0)


def bo_rep(pb, x, y, T, *, eta, rho, gamma, beta, period, N, radius, warm_budget, warm_length, warm_radius, warm_rho):
    """Strongly convex lower level (p = 2): epochs double, balls shrink by √2, steps halve in the warm start."""
    length, used, size, step = warm_length, 0.0, warm_radius, warm_rho
    while used + length <= warm_budget:
        y = _averaged_steps(pb, x, y, int(length), step, size, include_start=True)
        used, length, size, step = used + length, 2 * length, size / np.sqrt(2), step / 2
    z, h = np.zeros_like(y), np.zeros_like(x)
    path = [(x, y)]
    for t in range(T):
        if t > 0 and t % period == 0:
            y = _averaged_steps(pb, x, y, N, rho, radius, include_start=False)
        h = beta * h + (1 - beta) * (pb.f.dx(x, y) - pb.J @ z)
        z = z - gamma(t) * (pb.H @ z - pb.f.dy(x, y))
        size = np.linalg.norm(h)
        x = x - eta(t) * h / size if size > 0 else x
        path.append((x, y))
    return path
