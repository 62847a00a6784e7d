"""The workers' Celery application with a synthetic source and target: `celery -A bench.synthetic.app worker`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from bench.synthetic.moves import Moves
from bench.synthetic.shape import LOAD_KEY, Load, Shape
from bench.synthetic.source import SyntheticQueue, synthetic_catalog
from bench.synthetic.target import SyntheticTarget
from cdc_core.pipeline.transport import Replicated
from workers import process
from workers.app import app

__all__ = ["app"]

_shape = Shape.from_environment()
_directory = Path(os.environ["BENCH_DIRECTORY"])


def _target(*_: object) -> tuple[Replicated, SyntheticTarget]:
    target = SyntheticTarget(_shape, _directory / f"sent-{os.getpid()}")
    return Replicated(target), target


def _load() -> Load:
    return Load.parse(cast("str | None", process.state().get(LOAD_KEY)))


_SYNTHETIC: Mapping[str, Callable[..., object]] = {
    "open_source_queue": lambda _settings: SyntheticQueue(_shape, _load),
    "open_source_catalog": lambda _settings: synthetic_catalog(_shape),
    "open_target": _target,
}
for _name, _made in _SYNTHETIC.items():
    setattr(process, _name, _made)
Moves(_directory / f"moves-{os.getpid()}").watch()
