"""``python -m unibio``: run what Hydra composes from ``conf/`` and the overrides given, or another command by name."""

import sys

from unibio.cli.main import COMMANDS, main

if __name__ == "__main__":
    main(sys.argv[1:] if sys.argv[1:2] and sys.argv[1] in COMMANDS else ["run", *sys.argv[1:]])
