"""Run measurements; prints a table and writes `bench/results/<time>.json`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import scale
from bench.figures import MEASUREMENTS, Figures
from bench.rig import Rig
from deploy.local.stack import StackQueue

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *MEASUREMENTS, "scale"], help="all but `scale`, which needs no Milvus"
    )
    parser.add_argument("--queue", default="kafka", choices=["kafka", "rocksmq"])
    parser.add_argument("--workers", type=int, help="2; for `scale` 4")
    parser.add_argument("--vchannels", type=int, default=1000, help="of `scale`")
    parser.add_argument("--busy", type=int, default=50, help="of `scale`: one vchannel in so many gets rows")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each steady phase of `scale`")
    given = parser.parse_args()
    names = [name for name in given.names or MEASUREMENTS if name != "scale"]
    if "scale" in given.names:
        _scale(given.vchannels, given.workers or 4, given.busy, given.seconds)
    if names:
        _on_servers(names, given.queue, given.workers or 2)


def _on_servers(names: list[str], queue: StackQueue, workers: int) -> None:
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory, Rig(Path(directory), queue, workers) as rig:
        for name in names:
            results[name] = MEASUREMENTS[name](rig)
            _show(name, results[name])
    _write(json.dumps({"queue": queue, "workers": workers, "results": results}, indent=2))


def _scale(vchannels: int, workers: int, busy: int, seconds: float) -> None:
    slots = vchannels // max(1, workers - 1) + 50  # for when one is away
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, figures in scale.measure(Path(directory), vchannels, workers, slots, busy, seconds):
            results[name] = figures
            _show(f"{vchannels} vchannels, {workers} workers: {name}", figures)
    _write(scale.to_json(results, vchannels=vchannels, workers=workers, slots=slots), "scale-")


def _write(text: str, kind: str = "") -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{kind}{time.strftime('%Y%m%d-%H%M%S')}.json").write_text(text)


def _show(name: str, figures: Figures) -> None:
    table = Table(title=name)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for figure, value in figures.items():
        table.add_row(figure, f"{value:,.1f}")
    Console().print(table)


main()
