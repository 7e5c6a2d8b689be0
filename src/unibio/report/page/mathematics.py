"""Mathematics in a page's text: ε^(−3p) and y*_λ as texts write them become italic letters, raised and lowered.

Texts stay what they are in Markdown and in figures; here they are set with elements that every browser knows (``var``,
``sup``, ``sub``), without a font or a script. What is not told from words stays upright: a letter is a variable where
it stands alone, and names of methods (F²SA), parts (Figure 1(c)) and ranges (a–d) have none.
"""

from __future__ import annotations

import re

from unibio.studies.common.mathematics import ABOVE, BELOW, lowered, raised

#: What keeps its characters: code, where a link leads, an address.
_KEPT = r"`[^`]+`|\]\([^)\s]+\)|https?://\S+"
#: Raised and lowered digits, signs and letters of Unicode, which follow a variable.
_SMALL = "²³¹⁰-₎ₐ-ₜ"
#: A variable: a Greek letter, or a Latin one that stands alone and is no article, unit, part or end of a range.
_GREEK = rf"[α-ω](?:[{_SMALL}]+(?!\w))?"
_LATIN = (
    r"(?<![\w’–.-])(?<!&#x27;)(?<!Appendix )(?<!Part )(?:(?<!\d\()|(?=\w[^)–]))"
    rf"[cdfgklnpqrtuvxyzDFGIKLNQSTV](?=[{_SMALL}]*(?![\w’]|\.\w))"
)
_ANY = re.compile(rf"(?P<kept>{_KEPT})|{BELOW}|{ABOVE}|(?P<variable>{_GREEK}|{_LATIN})")


def set_(text: str) -> str:
    """Text with its mathematics as elements.

    Args:
        text: escaped for HTML, with its `code` and [links](target) still as they are written.
    """
    return _ANY.sub(_element, text)


def _element(found: re.Match[str]) -> str:
    if found["kept"]:
        return found["kept"]
    if found["variable"]:
        return f"<var>{found['variable']}</var>"
    if found["base"]:
        letter, marks = found["base"][0], found["base"][1:]
        base = letter if letter in "ℓ𝓛∇" else f"<var>{letter}</var>"
        # A word below, λ_max, is no product of variables; nor are two derivatives, ∇²_yy, taken apart.
        return f"{base}{marks}<sub>{set_(lowered(found))}</sub>"
    return f"<sup>{set_(raised(found) or '')}</sup>"
