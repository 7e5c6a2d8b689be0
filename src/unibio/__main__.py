"""``python -m unibio``: run what Hydra composes from ``conf/`` and the overrides given."""

from unibio.cli import run

if __name__ == "__main__":
    run()
