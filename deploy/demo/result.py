"""The demo's end: what was found, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from deploy.demo.measure import Latency
from deploy.local.compare import Comparison


@dataclass(frozen=True, slots=True)
class Result:
    """`catch_up` is in rows a second."""

    comparisons: Sequence[Comparison]
    latency: Latency
    catch_up: float
    seconds: float

    @property
    def equal(self) -> bool:
        return all(found.equal for found in self.comparisons)

    def verdict(self) -> str:
        if self.equal:
            return "[green]Equal, row by row.[/]"
        return "\n".join(["[red]Not equal.[/]", *(str(found) for found in self.comparisons if not found.equal)])

    def table(self) -> Table:
        table = Table(title="Source and standby, row by row", title_justify="left", show_header=True)
        for name in ("", "source", "standby", "mismatches"):
            table.add_column(name, justify="right" if name else "left")
        for found in self.comparisons:
            counts = f"{found.count_source:,}", f"{found.count_target:,}"
            table.add_row(f"rows of {found.collection}", *counts, str(found.mismatches))
        table.add_section()
        table.add_row("insert to visible, p50", "", f"{self.latency.p50 * 1000:,.0f} ms", "")
        table.add_row("insert to visible, p99", "", f"{self.latency.p99 * 1000:,.0f} ms", "")
        table.add_row("catch-up", "", f"{self.catch_up:,.0f} rows/s", "")
        table.add_row("time", "", f"{self.seconds:,.0f} s", "")
        return table
