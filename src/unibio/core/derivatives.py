"""Whether derivatives, autograd's and a problem's own, are those of its losses, and depend on what they must."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from unibio.core.handed import alike
from unibio.core.problem import role_of
from unibio.core.slopes import RADIUS, Line, Slope, multiple
from unibio.core.surroundings import Near, Surroundings, naming
from unibio.errors import InputError

#: At so many points of up to twice as many a derivative must be contradicted to be called wrong.
POINTS = 3
#: Nearer to the last of them, where a loss varies less and has fewer kinks, it must not be confirmed.
NEARER = (RADIUS / 30, RADIUS / 900)
#: How often another direction is taken where a gradient is nearly orthogonal to one.
REDRAWN = 3
#: Multiples of the start around which something other than 0 is looked for.
SCALES = (1.0, 0.5, 0.1, 0.0, -1.0, 3.0)

_WAYS_OUT = ".detach(), .data, .item(), NumPy, torch.tensor(...) or torch.no_grad()"
_MEND = f"write it with torch operations on x and y themselves, without {_WAYS_OUT}"
SKIP = " (check=False takes it as it is)"


class DerivativeChecks:
    """The checks, at one problem's surroundings."""

    def __init__(self, around: Surroundings):
        self.around, self.problem, self.oracle = around, around.problem, around.oracle
        self._not_zero: set[str] = set()  # formulas of derivatives that are not 0 somewhere

    # Paths -------------------------------------------------------------------------------------------------------

    def check_dependence(self) -> None:
        """Where autograd makes a derivative there is a path from its variable to the value.

        Raises:
            InputError: there is none.
        """
        own, around = self.problem.derivatives, self.around
        x, y = (t.detach().clone().requires_grad_() for t in (around.x, around.y))
        near = around.near()
        if "grad_upper" not in own and not any(self._paths("upper", x, y, (x, y))):
            self._refuse_path("upper", "x or y", near, near.x_line.at(0.5), near.y_line.at(0.5))
        if "grad_lower" not in own and not any(self._paths("lower", around.x, y, (y,))):
            self._refuse_path("lower", "y", near, near.x, near.y_line.at(0.5))
        if "jvp" not in own and not self._slope_depends(x, y):
            raise InputError(
                "lower: its gradient in y does not depend on x for autograd, so that the hypergradient would be f_x "
                f"alone. If x is meant to act on y, a part of the loss leaves autograd's graph: {_MEND}{SKIP}"
            )

    def _paths(self, role: str, x: Tensor, y: Tensor, to: tuple[Tensor, ...]) -> list[bool]:
        """Whether autograd finds a way back from a loss."""
        with naming(role, x, "cannot be differentiated"), torch.enable_grad():
            value = getattr(self.problem, role)(x, y, self.around.samples[role].value)
            if not value.requires_grad:
                return [False] * len(to)
            return [g is not None for g in torch.autograd.grad(value.sum(), to, allow_unused=True)]

    def _slope_depends(self, x: Tensor, y: Tensor) -> bool:
        """Whether autograd finds a way back from ∇_y g to x."""
        with naming("lower", x, "cannot be differentiated twice"), torch.enable_grad():
            value = self.problem.lower(x, y, self.around.samples["lower"].value)
            if not value.requires_grad:
                return False
            (slope,) = torch.autograd.grad(value.sum(), y, create_graph=True, allow_unused=True)
            if slope is None or not slope.requires_grad:
                return False
            return torch.autograd.grad(slope.sum(), x, allow_unused=True)[0] is not None

    def _refuse_path(self, role: str, of: str, near: Near, x: Tensor, y: Tensor) -> None:
        if alike(self.around.value(role, near.x, near.y), self.around.value(role, x, y)):
            raise InputError(f"{role} does not depend on {of}, and must{SKIP}")
        raise InputError(
            f"{role} changes with {of}, but not for autograd, whose graph all of it leaves: {_MEND}, or bring its "
            f"gradients in derivatives={SKIP}"
        )

    # Values ------------------------------------------------------------------------------------------------------

    def check_slopes(self) -> None:
        """All derivatives against differences of what they are derivatives of.

        Raises:
            InputError: one is wrong.
        """
        near = self.around.near()
        for name, formula, slope_at in self._slopes():
            said = self._contradiction(name, formula, slope_at, near)
            if said is not None:
                self._refuse_slope(name, formula, said)

    def _contradiction(self, name: str, formula: str, slope_at: Callable[[Near], Slope], near: Near) -> str | None:
        """What differences say against a derivative, in words; None where it may be right."""

        def at(near: Near) -> Slope:
            with naming(self._who(name), near.x, "cannot be differentiated"):
                slope = slope_at(near)
            if bool((slope.claimed != 0).any()):
                self._not_zero.add(formula)
            return slope

        slope = at(near)
        for _ in range(REDRAWN):
            if not slope.happens_to_be_small():
                break
            near = self.around.near()
            slope = at(near)
        wrong, said = [], ""
        try:
            if not bool(near.rows.any()) or slope.agrees():
                return None
            for points in range(1, 2 * POINTS):
                verdict = slope.verdict()
                if verdict.contradicts is not None:
                    wrong.append(verdict.wrong)
                    said = self._said(formula, slope.claimed, verdict.contradicts, near)
                if POINTS in (len(wrong), points - len(wrong)):
                    break
                near = self.around.near(like=near)  # other kinks, along a direction that has shown it
                slope = at(near)
            if len(wrong) < POINTS:
                return None
            for radius in NEARER:
                near = self.around.near(like=near, radius=radius)
                if at(near).verdict(min(wrong)).confirms:
                    return None
        except Exception:  # so far from the start the loss need not be defined
            return None
        return said

    def _slopes(self) -> Iterator[tuple[str, str, Callable[[Near], Slope]]]:
        """A derivative's name, its formula, and its slope along the lines through a point."""
        exempt, oracle = set(self.problem.approximate), self.oracle
        kept: list[tuple[Near, tuple[Tensor, Tensor]]] = []

        def of_upper(near: Near) -> tuple[Tensor, Tensor]:
            if not kept or kept[0][0] is not near:  # one call makes both
                kept[:] = [(near, oracle.grad_upper(near.x, near.y, self.around.samples["upper"]))]
            return kept[0][1]

        def of_lower(near: Near) -> Tensor:
            return oracle.grad_lower(near.x, near.y, self.around.samples["lower"])

        def of_lower_x(near: Near) -> Tensor:
            return oracle.grad_lower_x(near.x, near.y, self.around.samples["lower"])

        if "grad_upper" not in exempt:
            yield "grad_upper", "f_x", lambda near: self._along("upper", near, near.x_line, of_upper(near)[0])
            yield "grad_upper", "f_y", lambda near: self._along("upper", near, near.y_line, of_upper(near)[1])
        for part, line, formula in (("grad_upper_x", "x_line", "f_x"), ("grad_upper_y", "y_line", "f_y")):
            if part in self.problem.derivatives and part not in exempt:
                yield part, formula, partial(self._part, part, line)
        if "grad_lower" not in exempt:
            yield "grad_lower", "∇_y g", lambda near: self._along("lower", near, near.y_line, of_lower(near))
        if "grad_lower_x" not in exempt:
            yield "grad_lower_x", "∇_x g", lambda near: self._along("lower", near, near.x_line, of_lower_x(near))
        if not {"grad_lower", "hvp"} & exempt:
            yield "hvp", "∇²_yy g · v", lambda near: self._product(near, near.y_line, oracle.grad_lower, oracle.hvp)
        if not {"grad_lower_x", "jvp"} & exempt:
            yield "jvp", "∇²_xy g · v", lambda near: self._product(near, near.x_line, oracle.grad_lower_x, oracle.jvp)
        if "hessian_diagonal" in self.problem.derivatives and not {"grad_lower", "hessian_diagonal"} & exempt:
            yield "hessian_diagonal", "diag ∇²_yy g", self._entry

    def _part(self, name: str, line: str, near: Near) -> Slope:
        """The upper loss along a line, and the problem's own derivative along it alone."""
        gradient = getattr(self.oracle, name)(near.x, near.y, self.around.samples["upper"])
        return self._along("upper", near, getattr(near, line), gradient)

    def _along(self, role: str, near: Near, line: Line, gradient: Tensor) -> Slope:
        """A loss along a line, and its gradient."""
        parts = (gradient * line.direction)[near.rows]

        def value(t: float) -> Tensor:
            x, y = (line.at(t) if one is line else one.middle for one in (near.x_line, near.y_line))
            return self.around.value(role, x, y)[near.rows]

        return Slope(value, parts.sum(-1), float(parts.norm()), line.radius)

    def _product(self, near: Near, own: Line, gradient: Callable[..., Tensor], product: Callable[..., Tensor]) -> Slope:
        """A gradient of the lower loss, in the variable of the line ``own``, along that of y, and its derivative."""
        sample, line = self.around.samples["lower"], near.y_line
        claimed = product(near.x, near.y, line.direction, sample)[near.rows]
        length = float(own.direction[near.rows].norm()) / own.radius
        loss = float(self.around.value("lower", near.x, near.y)[near.rows].norm())
        return Slope(
            lambda t: gradient(near.x, line.at(t), sample)[near.rows],
            claimed,
            float(claimed.norm()),
            line.radius,
            rough=loss / length if length else 0.0,
        )

    def _entry(self, near: Near) -> Slope:
        """A component of ∇_y g along its own coordinate, one of every row, and the Hessian's entry."""
        sample, line = self.around.samples["lower"], near.y_line
        place = line.direction.abs().argmax(-1, keepdim=True)
        own = line._replace(
            direction=torch.zeros_like(line.direction).scatter_(1, place, line.direction.gather(1, place))
        )
        diagonal = self.oracle.hessian_diagonal(near.x, near.y, sample)
        assert diagonal is not None  # it is declared
        claimed = (diagonal * own.direction).sum(-1)[near.rows]
        loss = float(self.around.value("lower", near.x, near.y)[near.rows].norm())
        length = float(own.direction[near.rows].norm()) / own.radius
        return Slope(
            lambda t: self.oracle.grad_lower(near.x, own.at(t), sample).gather(1, place)[near.rows, 0],
            claimed,
            float(claimed.norm()),
            own.radius,
            rough=loss / length if length else 0.0,
        )

    def _who(self, name: str) -> str:
        """What to name where a derivative is made."""
        if name in self.problem.derivatives:
            return f"derivatives[{name!r}]"
        return role_of(name)

    def _said(self, formula: str, claimed: Tensor, slope: Tensor, near: Near) -> str:
        """What a derivative says, and what differences do, for a direction of length 1."""
        line, products = near.x_line if formula in ("f_x", "∇_x g") else near.y_line, claimed.ndim > 1
        gap = torch.linalg.vector_norm((slope - claimed).reshape(len(claimed), -1), dim=-1)
        row = int(gap.argmax())
        length = float(line.direction[near.rows][row].norm()) or 1.0
        true, said = (float(t[row].norm() if products else t[row]) / length for t in (slope, claimed))
        factor = multiple(claimed, slope) if products else None
        return (
            f"along a random direction near the start it is {said:.6g}{' in norm' if products else ''}"
            f"{'' if factor is None else f', {factor:.3g} times too much'}, and differences of "
            f"{'the gradient' if products else 'the loss'} give {true:.6g}"
        )

    def _refuse_slope(self, name: str, formula: str, found: str) -> None:
        if name in self.problem.derivatives:
            raise InputError(
                f"derivatives[{name!r}] is not {formula} of the losses: {found}. Mend its sign, factor, order or "
                f"transposition, or name it in approximate=({name!r},) if it is meant to be something else{SKIP}"
            )
        raise InputError(
            f"{self._who(name)}: {formula} by autograd is wrong: {found}. A part of the loss leaves autograd's graph: "
            f"{_MEND}, or bring {name} in derivatives={SKIP}"
        )

    # Zeros -------------------------------------------------------------------------------------------------------

    def zeros(self) -> Iterator[str]:
        """Derivatives that are 0 wherever one looks; a function may saturate, so that this is only worth saying."""
        samples, oracle = self.around.samples, self.oracle
        nothing = False
        for name, formulas, parts, said in (
            (
                "grad_upper",
                {"f_x", "f_y"},
                lambda near: oracle.grad_upper(near.x, near.y, samples["upper"]),
                "the gradient of upper is 0, in x and in y,",
            ),
            (
                "grad_upper",
                {"f_y"},
                lambda near: (oracle.grad_upper(near.x, near.y, samples["upper"])[1],),
                "the gradient of upper in y is 0, and the lower level decides nothing,",
            ),
            (
                "grad_lower",
                {"∇_y g"},
                lambda near: (oracle.grad_lower(near.x, near.y, samples["lower"]),),
                "the gradient of lower in y is 0",
            ),
            (
                "jvp",
                {"∇²_xy g · v"},
                lambda near: (oracle.jvp(near.x, near.y, near.y_line.direction, samples["lower"]),),
                "the gradient of lower in y does not change with x, and the hypergradient is f_x alone,",
            ),
        ):
            if name in self.problem.approximate or formulas & self._not_zero or (nothing and formulas == {"f_y"}):
                continue
            if not any(self._some(parts, scale) for scale in SCALES):
                nothing = True  # said of x and y, it need not be said of y again
                yield f"{said} at all {len(SCALES)} points that were looked at around the start"

    def _some(self, parts: Callable[[Near], Sequence[Tensor]], scale: float) -> bool:
        """Whether anything is not 0 near a multiple of the start, or cannot be evaluated there."""
        try:
            return any(bool((part != 0).any()) for part in parts(self.around.near(scale)))
        except Exception:
            return True
