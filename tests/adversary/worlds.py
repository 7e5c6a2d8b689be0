"""Small random problems whose hypergradients are known, written in NumPy and float64 without the library.

    g(x, y) = s Σ_i |y_i|^p / p + ½ yᵀH y + Σ_i w_i relu(y_i − t_i) − yᵀ(K x + b),    s = 0 for p = 2, else 1
    f(x, y) = ½‖y − c‖² + ½‖x − a‖² + xᵀM y + Σ_i u_i |x_i − r_i|                     (regular Hessians)
    f(x, y) = ½‖z − c‖² + ½‖x − a‖²,  z = [y]^{∘(p−1)},  H = 0, w = 0                 (Hessians that vanish with D)

H is symmetric: positive definite with a given condition number, singular, or indefinite. A finite sum splits H, b and c
over data points whose deviations add up to nothing; noise is that of ∇_y g, of H or of f_y, with mean 0. The formula
f_x + Kᵀ (∇²_yy g)⁻¹ f_y holds at every y where the Hessian is regular, and is ∇φ(x) at y*(x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: What the matrix H may be.
KINDS = ("definite", "vanishing", "singular", "indefinite")
#: What may be noisy.
NOISES = ("", "gradient", "hessian", "upper")


@dataclass(frozen=True)
class World:
    """One problem: its numbers, a point x, the lower solution there, and how hard it is.

    Attributes:
        kind: of ``KINDS``.
        p: exponent.
        H, K, M: (d_y, d_y), (d_y, d_x), (d_x, d_y).
        a, b, c: (d_x,), (d_y,), (d_y,).
        points: data points of the finite sum; 0 for none.
        dH, db, dc: (points, d_y, d_y), (points, d_y), (points, d_y), each with mean 0.
        noise, sigma: of ``NOISES``, and its size.
        kinks: u, r (d_x,) and w, t (d_y,); weights of 0 are no kinks.
        x, y: (d_x,), and y*(x), (d_y,); a stationary point where H is not definite.
    """

    kind: str
    p: int
    H: np.ndarray
    K: np.ndarray
    M: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    points: int
    dH: np.ndarray  # noqa: N815
    db: np.ndarray
    dc: np.ndarray
    noise: str
    sigma: float
    kinks: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    x: np.ndarray
    y: np.ndarray

    @property
    def vanishing(self) -> bool:
        """Whether f_y, ∇²_yy g and D vanish together."""
        return self.kind == "vanishing"

    def power(self, y: np.ndarray) -> np.ndarray:
        """[y]^{∘(p−1)}."""
        return np.sign(y) * np.abs(y) ** (self.p - 1)

    def scale(self, y: np.ndarray) -> np.ndarray:
        """The diagonal of D."""
        return (self.p - 1) * np.abs(y) ** (self.p - 2)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """∇_y g."""
        _, _, w, t = self.kinks
        return self.H @ y + (self.power(y) if self.p > 2 else 0.0) + w * (y > t) - self.K @ x - self.b

    def hessian(self, y: np.ndarray) -> np.ndarray:
        """∇²_yy g."""
        return self.H + (np.diag(self.scale(y)) if self.p > 2 else 0.0)

    def solution(self, x: np.ndarray) -> np.ndarray | None:
        """y*(x) for an x near this one's, by Newton's method from y; None where that leads nowhere."""
        y = self.y.copy()
        for _ in range(50):
            slope = self.slope(x, y)
            if np.abs(slope).max() < 1e-13 * (1 + np.abs(self.b).max()):
                return y
            try:
                y = y - np.linalg.solve(self.hessian(y), slope)
            except np.linalg.LinAlgError:
                return None
        return None

    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """f_x + Kᵀ v with ∇²_yy g v = f_y; where the Hessian vanishes its limit, which is continuous at y_i = 0."""
        u, r, _, _ = self.kinks
        f_x = x - self.a + u * np.sign(x - r)
        if self.vanishing:
            return f_x + self.K.T @ (self.power(y) - self.c)
        f_y = y - self.c + self.M.T @ x
        return f_x + self.M @ y + self.K.T @ np.linalg.solve(self.hessian(y), f_y)

    def blur(self, x: np.ndarray, y: np.ndarray, floor: float = 1e-3) -> float:
        """How far what is meant may take an estimate from :meth:`gradient`: a bound that holds for every draw.

        Noise of the gradient of g moves no estimate. Numbers s uniform in [−1, 1] blur f_y by at most σ√d_y, and make
        the Hessian, where p = 2, one between (1 − σ)H and (1 + σ)H. Where it vanishes, y is moved to distance δ from 0.
        """
        if self.vanishing:
            return float(np.linalg.norm(self.K, 2) * np.linalg.norm(self.power(np.maximum(floor - np.abs(y), 0.0))))
        if self.noise not in ("hessian", "upper"):
            return 0.0
        inverse = np.linalg.inv(self.hessian(y))
        if self.noise == "upper":
            return float(self.sigma * np.sqrt(len(y)) * np.linalg.norm(self.K.T @ inverse, 2))
        f_y = y - self.c + self.M.T @ x
        root = np.linalg.norm(np.linalg.cholesky(inverse).T @ self.K, 2)
        return float(self.sigma / (1 - self.sigma) * root * np.sqrt(f_y @ inverse @ f_y))

    def eigenvalues(self, y: np.ndarray, preconditioned: bool, floor: float = 1e-3) -> np.ndarray:
        """Of ∇²_yy g or of D_δ⁻¹∇²_yy g, ascending: what a Neumann sum meets."""
        if self.vanishing:
            d = self.scale(np.where(np.abs(y) < floor, floor, y))
            return np.ones_like(y) if preconditioned else np.sort(d)
        d = self.scale(np.maximum(np.abs(y), floor)) if preconditioned and self.p > 2 else np.ones_like(y)
        root = 1 / np.sqrt(d)
        return np.linalg.eigvalsh(root[:, None] * self.hessian(y) * root)

    def condition(self, y: np.ndarray) -> float:
        """Of the linear system as the solvers see it; inf where it is indefinite, or singular within rounding."""
        values = self.eigenvalues(y, preconditioned=self.vanishing)
        rounding = len(values) * np.finfo(float).eps * values[-1]
        return float(values[-1] / values[0]) if values[0] > rounding else np.inf


def make(
    rng: np.random.Generator,
    kind: str,
    *,
    decades: tuple[float, float] = (0.0, 2.0),
    finite: bool = False,
    noise: str = "",
    kinks: bool = False,
    zero: bool = False,
) -> World:
    """A random world.

    Args:
        rng: everything comes from it.
        kind: of ``KINDS``.
        decades: log₁₀ of the least and the largest condition number of H.
        finite: a finite sum.
        noise: of ``NOISES``; that of the Hessian is for p = 2.
        kinks: some of ‖·‖₁ and relu, off the point but not far from it.
        zero: a coordinate of y that is 0, where p > 2.
    """
    d_x, d_y = int(rng.integers(1, 6)), int(rng.integers(2 if kind in ("singular", "indefinite") else 1, 7))
    p = int(rng.choice([3, 4, 6] if kind == "vanishing" else [2, 2, 3, 4, 6]))
    p = 2 if kind in ("singular", "indefinite") or noise == "hessian" else p
    basis = np.linalg.qr(rng.standard_normal((d_y, d_y)))[0]
    spread = rng.uniform(*decades)
    values = 10 ** np.linspace(-spread / 2, spread / 2, d_y) if d_y > 1 else np.array([10 ** rng.uniform(-1, 1)])
    if kind == "singular":
        values[: int(rng.integers(1, d_y))] = 0.0
    if kind == "indefinite":
        values = values * np.where(np.arange(d_y) < rng.integers(1, d_y + 1), -1.0, 1.0)
    H = np.zeros((d_y, d_y)) if kind == "vanishing" else (basis * values) @ basis.T
    H = (H + H.T) / 2
    K, M = rng.standard_normal((d_y, d_x)), 0.3 * rng.standard_normal((d_x, d_y))
    M = np.zeros_like(M) if kind == "vanishing" else M
    x, y = rng.uniform(-1, 1, d_x), rng.uniform(0.3, 1.2, d_y) * rng.choice([-1.0, 1.0], d_y)
    if zero and p > 2:
        y[int(rng.integers(d_y))] = 0.0
    points = int(rng.integers(3, 9)) if finite else 0
    dH = np.zeros((points, d_y, d_y))
    db, dc = rng.standard_normal((points, d_y)), rng.standard_normal((points, d_y))
    if points and kind == "definite":
        dH = rng.standard_normal((points, d_y, d_y))
        dH = 0.1 * values.min() * (dH + dH.transpose(0, 2, 1))
    dH, db, dc = (part - part.mean(0) if points else part for part in (dH, db, dc))
    u, w = (rng.uniform(0.2, 1, d) * (rng.random(d) < 0.5) * kinks for d in (d_x, d_y))
    r, t = (place + rng.choice([-1.0, 1.0], len(place)) * rng.uniform(0.02, 0.4, len(place)) for place in (x, y))
    w = np.zeros_like(w) if kind == "vanishing" else w
    b = H @ y + (np.sign(y) * np.abs(y) ** (p - 1) if p > 2 else 0.0) + w * (y > t) - K @ x  # y is the solution at x
    a, c = rng.standard_normal(d_x), rng.standard_normal(d_y)
    sigma = float(10 ** rng.uniform(-3, -1)) if noise else 0.0
    return World(kind, p, H, K, M, a, b, c, points, dH, db, dc, noise, sigma, (u, r, w, t), x, y)
