"""How texts write powers and indices, ε^(−3p) and y*_λ, and how figures set them."""

from __future__ import annotations

import re

#: What stands below: λ_max, y*_λ, 𝓛*_{1/σ}, ∇²_yy; longer words are names.
BELOW = r"(?<![A-Za-z0-9_])(?P<base>[A-Za-zα-ωℓ𝓛∇ĥ][*²]?)_(?P<below>\{[^{}]*\}|[A-Za-zα-ω]{1,3}\d?(?!\w)|\d+(?!\w))"
#: What stands above: ^2, ^a, ^(−1/(2(p−1))), ^{k}.
_INSIDE = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"
ABOVE = rf"(?<=[\w)\]‖|*])\^(?:\((?P<above>{_INSIDE})\)|\{{(?P<braced>[^{{}}]*)\}}|(?P<plain>[−-]?\w+))"
_EITHER = re.compile(f"{BELOW}|{ABOVE}")


def raised(found: re.Match[str]) -> str | None:
    """What a match of ``ABOVE`` puts above, without its brackets; None of another match."""
    return next((found[name] for name in ("above", "braced", "plain") if found[name] is not None), None)


def lowered(found: re.Match[str]) -> str:
    """What a match of ``BELOW`` puts below, without its braces."""
    return found["below"].removeprefix("{").removesuffix("}")


def in_figure(text: str) -> str:
    """A label with powers above and indices below, for matplotlib; one that has mathematics of its own stays."""
    return text if "$" in text else _EITHER.sub(_moved, text)


def _moved(found: re.Match[str]) -> str:
    above = raised(found)
    if above is not None:
        return f"$^{{{_upright(above)}}}$"
    return f"{found['base']}$_{{{_upright(lowered(found))}}}$"


def _upright(text: str) -> str:
    return rf"\mathregular{{{text.replace(' ', chr(92) + ' ')}}}"
