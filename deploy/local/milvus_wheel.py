"""The Milvus server out of its PyPI wheel.

The wheel `milvus` holds the real standalone server, lzma-compressed, beside a Python package that wants old
libraries. Only the files are taken; nothing of the wheel is installed or imported.
"""

import lzma
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.local.cache import cached
from deploy.local.errors import Unavailable

VERSION = "2.3.5"
_PLATFORM = "manylinux2014_x86_64"


@dataclass(frozen=True, slots=True)
class MilvusFiles:
    """The unpacked server: binary and libraries in one directory, and its two configuration templates."""

    binaries: Path
    template: Path
    glog: Path

    @property
    def program(self) -> Path:
        return self.binaries / "milvus"


def require_milvus() -> None:
    """Raises Unavailable when this machine cannot run it; downloads nothing."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable(
            f"Milvus {VERSION} exists as a wheel for x86-64 Linux only, this is {platform.machine()} {sys.platform}: "
            f"use such a machine, or a Milvus of your own"
        )


def milvus_files() -> MilvusFiles:
    """The server's files, downloaded (58 MB) and unpacked (250 MB) the first time; raises Unavailable."""
    require_milvus()
    home = cached(f"milvus-{VERSION}", _build)
    return MilvusFiles(home / "bin", home / "config.yaml.template", home / "glog.conf")


def _build(directory: Path) -> None:
    with zipfile.ZipFile(_download(directory)) as wheel:
        for entry in wheel.infolist():
            if entry.filename.startswith("milvus/data/") and not entry.is_dir():
                _unpack(wheel, entry, directory)
    for wheel_file in directory.glob("*.whl"):
        wheel_file.unlink()


def _download(directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--platform", _PLATFORM, "--dest", str(directory), f"milvus=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(
            f"pip could not download milvus=={VERSION}: does it reach a package index?\n{done.stderr[-2000:]}"
        )
    return next(directory.glob("milvus-*.whl"))


def _unpack(wheel: zipfile.ZipFile, entry: zipfile.ZipInfo, directory: Path) -> None:
    target = directory / entry.filename.removeprefix("milvus/data/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with wheel.open(entry) as packed:
        if target.suffix != ".lzma":
            _write(packed, target)
            return
        target = target.with_suffix("")
        with lzma.open(packed) as plain:
            _write(plain, target)
        target.chmod(0o755)


def _write(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as output:
        shutil.copyfileobj(source, output)
