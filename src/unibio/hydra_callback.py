"""Hydra's hook before a multirun: check every job, say how large the sweep is and how long it will take."""

from __future__ import annotations

import sys
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class SweepCallback(Callback):
    """Named in ``conf/config.yaml``; a wrong configuration anywhere in the sweep ends it before the first job."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from unibio.errors import InputError
        from unibio.sweep import announce, expand

        hydra = GlobalHydra.instance().hydra
        assert hydra is not None  # we are inside hydra.main

        def compose_one(overrides: list[str]) -> DictConfig:
            return hydra.compose_config(
                "config", overrides, run_mode=RunMode.RUN, with_log_configuration=False, validate_sweep_overrides=False
            )

        overrides = list(config.hydra.overrides.task)
        try:
            announce(expand(overrides, compose_one), "python -m unibio " + " ".join(overrides))
        except (InputError, HydraException, OmegaConfBaseException) as error:
            print(f"unibio: {error}", file=sys.stderr)
            sys.exit(2)
