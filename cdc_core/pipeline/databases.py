"""The target's databases made like the source's: those that a task replicates whole."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Iterator, Mapping

import structlog

from cdc_core.errors import Refused
from cdc_core.model.catalog import Catalog, Database
from cdc_core.model.task import ANY
from cdc_core.pipeline.difference import Difference, Kind, State
from cdc_core.pipeline.task_context import TaskContext

log = structlog.get_logger(__name__)


class Databases:
    """Made once at the catalog's start and after an outage: later ones come over the op channel, in their order, and
    any other with its first collection. Properties also when the source's have changed.
    """

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._made = False
        self._properties: dict[str, Mapping[str, str]] = {}
        """By the source's name: as it had them when the target was made like it."""
        self.refused: dict[str, str] = {}
        """By the source's name: what the target does not take."""

    def again(self) -> None:
        """The target may have forgotten something."""
        self._made = False
        self._properties.clear()

    def sweep(self, catalog: Catalog, busy: Names[tuple[str, str]]) -> None:
        """Make and alter what differs; one with a pending operation is altered later. :raises Retryable:"""
        wanted = self._wanted(catalog)
        self.refused = {name: why for name, why in self.refused.items() if name in wanted}
        self._properties = {name: kept for name, kept in self._properties.items() if name in wanted}
        due = [each for each in wanted.values() if self._properties.get(each.name) != each.properties]
        if due:
            there = self._context.target.catalog.databases()
            for database in due:
                self._put_right(database, there, pending=(database.name, ANY) in busy)
        self._made = True

    def differences(self, catalog: Catalog) -> Iterator[Difference]:
        """As they are now."""
        there = self._context.target.catalog.databases()
        for database in self._wanted(catalog).values():
            if self._context.names.database(database.name) in there:
                yield from self._altered(database)
            else:
                yield Difference(Kind.DATABASE, State.MISSING, database.name, "")

    def _wanted(self, catalog: Catalog) -> dict[str, Database]:
        whole = self._context.selection.has_whole
        return {database.name: database for database in catalog.databases.values() if whole(database.name)}

    def _put_right(self, database: Database, there: Names[str], *, pending: bool) -> None:
        name = self._context.names.database(database.name)
        target = self._context.target.catalog
        self.refused.pop(database.name, None)
        self._context.lease.check()
        try:
            if name in there:
                if pending:
                    return
                if altered := {each.name: database.properties[each.name] for each in self._altered(database)}:
                    target.alter_database(name, altered)
                    log.info("database_altered", database=name, properties=sorted(altered))
            elif not self._made:
                target.create_database(name, database.properties)
                log.info("database_made", database=name)
        except Refused as error:
            log.warning("database_refused", database=name, error=str(error))
            self.refused[database.name] = f"database {database.name}: {error}"
        self._properties[database.name] = database.properties

    def _altered(self, database: Database) -> Iterator[Difference]:
        """Nothing when the source has none, or the target does not say."""
        if not database.properties:
            return
        theirs = self._context.target.catalog.database_properties(self._context.names.database(database.name))
        if theirs is None:
            return
        for name, value in sorted(database.properties.items()):
            if name not in theirs:
                yield Difference(Kind.PROPERTY, State.MISSING, database.name, "", name, value)
            elif theirs[name] != value:
                detail = f"{value}, on the target {theirs[name]}"
                yield Difference(Kind.PROPERTY, State.DIFFERENT, database.name, "", name, detail)
