"""Run measurements; prints a table and writes `bench/results/<time>.json`."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import MEASUREMENTS, Figures
from bench.rig import Rig

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS], help="all of them by default")
    parser.add_argument("--queue", default="kafka", choices=["kafka", "rocksmq"])
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory, Rig(Path(directory), given.queue, given.workers) as rig:
        for name in given.names or MEASUREMENTS:
            results[name] = MEASUREMENTS[name](rig)
            _show(name, results[name])
    RESULTS.mkdir(exist_ok=True)
    about = {"queue": given.queue, "workers": given.workers, "results": results}
    (RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json").write_text(json.dumps(about, indent=2))


def _show(name: str, figures: Figures) -> None:
    table = Table(title=name)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for figure, value in figures.items():
        table.add_row(figure, f"{value:,.1f}")
    Console().print(table)


main()
