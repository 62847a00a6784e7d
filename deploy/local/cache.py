"""Where downloaded servers are kept, and how one gets there."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_directory() -> Path:
    """This package's place in the user's cache, made if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "milvus-cdc-workers"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def is_cached(name: str) -> bool:
    """Whether `cached` would answer at once."""
    return (cache_directory() / name).exists()


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The directory `name` of the cache; `build` fills it the first time.

    Any number of processes may ask at once: one builds, the others wait. It appears whole or not at all.
    """
    home = cache_directory()
    finished = home / name
    if finished.exists():
        return finished
    with (home / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            _build_beside(finished, build)
    return finished


def _build_beside(finished: Path, build: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{finished.name}.", dir=finished.parent))
    try:
        build(scratch)
        scratch.rename(finished)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
