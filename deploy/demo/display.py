"""What the demo shows while it runs: a live picture on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deploy.demo.watch import Sample

_LINE_EVERY = 2.0  # seconds between two plain lines


class Display:
    """The present step and, as soon as there is one, the newest sample; a context manager. Thread-safe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._step = ""
        self._spinner = Spinner("dots")
        self._sample: Sample | None = None
        self._told_at = 0.0
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=8, transient=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """The step that begins now."""
        self._step = title
        self._console.print(f"[dim]{self.seconds:6.1f} s[/]  {title}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self._console.print(f"          [dim]{text}[/]", highlight=False, soft_wrap=True)

    def show(self, sample: Sample) -> None:
        self._sample = sample
        if self._console.is_terminal or time.monotonic() - self._told_at < _LINE_EVERY:
            return
        self._told_at = time.monotonic()
        self.say(f"rows: source {sample.source:,}, standby {sample.target:,}; lag {_lag(sample.lag)}")

    def close(self) -> None:
        """No picture any more; steps are told on."""
        if self._console.is_terminal:
            self._live.stop()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _picture(self) -> Group:
        self._spinner.update(text=Text(f" {self._step}  {self.seconds:.0f} s"))
        if self._sample is None:
            return Group(self._spinner)
        return Group(_table(self._sample), self._spinner)


def _table(sample: Sample) -> Table:
    table = Table(title=f"lag {_lag(sample.lag)}", title_justify="left", expand=False)
    for name in ("collection", "source", "standby"):
        table.add_column(name, justify="left" if name == "collection" else "right")
    table.add_column("", width=30)
    for collection, (source, target) in sample.rows.items():
        bar = ProgressBar(total=max(source or 0, target or 0, 1), completed=target or 0, width=30)
        table.add_row(collection, _rows(source), _rows(target), bar)
    return table


def _rows(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"


def _lag(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
