"""``unibio completion``: tab completion of commands, groups, keys and names, which needs neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from unibio.cli.entry import Parser
from unibio.core.parameters import declared
from unibio.errors import InputError, unknown
from unibio.pipeline.conf import CLASSES, conf_dir, files, groups, options
from unibio.registry import ALGORITHMS, PROBLEMS

#: What shells read. A word is cut at "=" by bash, which puts back only what comes after.
SCRIPTS = {
    "bash": """\
_unibio() {
    local line=${COMP_LINE:0:$COMP_POINT} IFS=$'\\n'
    local word=${line##* }
    COMPREPLY=($(unibio completion words -- "$line" 2>/dev/null))
    [[ $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _unibio unibio
""",
}
SCRIPTS["zsh"] = f"autoload -U +X bashcompinit && bashcompinit\n{SCRIPTS['bash']}"

#: Commands whose words are overrides, and those whose words are sweeps.
_OVERRIDES = ("run", "sweep", "check", "data")
_SWEEPS = ("status", "plot", "report")


def main(arguments: Sequence[str], commands: Iterable[str], about: str) -> None:
    """Print a shell's script, or the words that may follow in a line.

    Args:
        arguments: bash or zsh; or "words" and the line so far.
        commands: that there are.
        about: in a line.

    Raises:
        InputError: another shell.
    """
    parser = Parser("unibio completion", about, epilog='In ~/.bashrc: eval "$(unibio completion bash)"')
    parser.add_argument("shell", metavar="SHELL", help=", ".join(SCRIPTS))
    parser.add_argument("line", nargs="?", help="after SHELL=words: what has been typed")
    options_ = parser.read(arguments)
    if options_.shell == "words":
        print("\n".join(words((options_.line or "").split(" ")[1:], commands)))
    elif options_.shell in SCRIPTS:
        print(SCRIPTS[options_.shell], end="")
    else:
        raise unknown("shell", options_.shell, SCRIPTS)


def words(typed: Sequence[str], commands: Iterable[str]) -> list[str]:
    """What the last of some words may become.

    Args:
        typed: what follows ``unibio``; the last may be empty.
        commands: that there are.
    """
    *before, last = typed or [""]
    try:
        found = _candidates(before, last, commands)
    except (InputError, OSError):  # nobody who presses a key wants to be told
        return []
    return sorted({one for one in found if one.startswith(last)})


def _candidates(before: Sequence[str], last: str, commands: Iterable[str]) -> Iterable[str]:
    if not before:
        return commands
    command = before[0]
    if command in _OVERRIDES:
        return _overrides(before[1:], last)
    if command in _SWEEPS:
        return [path.stem for path in Path("runs", ".experiments").glob("*.json")]
    if command == "list":
        return ["algorithms", "problems", "experiments", *ALGORITHMS, *PROBLEMS, *files("experiment")]
    if command == "new" and len(before) == 1:
        return ["algorithm", "problem", "experiment"]
    return []


def _overrides(before: Sequence[str], last: str) -> Iterable[str]:
    key, equals, value = last.partition("=")
    if equals:
        begun = "".join(value.rpartition(",")[:2])  # of a sweep's values the last is completed
        return [f"{key}={begun}{name}" for name in options(key)] if key in groups() else []
    chosen = {"problem": "example3", "algorithm": "unibio"}
    chosen |= dict(word.split("=", 1) for word in before if word.partition("=")[0] in chosen)
    found = [f"{name}=" for name in groups() if "/" not in name]
    for line in (conf_dir() / "config.yaml").read_text(encoding="utf-8").splitlines():
        name, colon, _ = line.partition(":")
        if colon and name.isidentifier() and name not in ("defaults", "hydra"):
            found.append(f"{name}=")
    for role, table in CLASSES.items():
        for name in chosen[role].split(","):
            found += [f"{role}.{spec.name}=" for spec in declared(table.declared(name))] if name in table else []
    return found
