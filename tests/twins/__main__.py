"""Write the table of docs/verdicts.md: make twins."""

from __future__ import annotations

from twins.page import PAGE, written

PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
print(PAGE)
