"""What a message to a user must be: one line, and in no library's words but ours."""

from __future__ import annotations

import re

#: Words of parsers and of configuration libraries, which nobody who runs experiments should have to read.
FOREIGN = re.compile(
    r"mismatched input|extraneous input|no viable alternative|token recognition|NoViableAlt|ANTLR|<EOF>|OmegaConf|"
    r"DictConfig|ListConfig|AnyNode|full_key|object_type|reference_type|interpolation|could not be converted|"
    r"is not in struct|hydra\.cc|HYDRA_FULL_ERROR|Schema'|Traceback|usage:|lambda|NoneType|BasicSweeper|"
    r"unrecognized arguments|invalid choice|invalid \w+ value|expected one argument|the following arguments"
)


def check_message(said: str) -> None:
    """One line, not a page, in our words (what is quoted was typed)."""
    assert said
    assert said.isprintable(), repr(said)
    assert len(said) < 1500, said
    assert not FOREIGN.search(re.sub(r"'[^']*'", "", said)), said
