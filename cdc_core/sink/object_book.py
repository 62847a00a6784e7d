"""The objects of a target that has none of its own: a book is kept of what was made."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace

from cdc_core.codec.operation import OF_USERS, Operation, OperationKind
from cdc_core.errors import Refused
from cdc_core.model.catalog import DEFAULT_DATABASE, Collection, Index, Serving
from cdc_core.model.timestamp import Tso
from cdc_core.names import object_note
from cdc_core.sink.base import TargetCollection
from cdc_core.sink.noted import Noted
from cdc_core.sink.notes import Notes
from cdc_core.sink.object_change import ObjectChange


class ObjectBook(ABC):
    """`TargetCatalog` over notes. A change is told first and then noted, so one that was cut short is told again; what
    is there already is not told at all."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._changing = threading.RLock()

    # what a target does in its own way

    @abstractmethod
    def _made(self, collection: Collection) -> TargetCollection:
        """A new collection, with its ids."""

    @abstractmethod
    def _new_partition(self, described: TargetCollection, at: Tso) -> int:
        """The id of a new partition."""

    @abstractmethod
    def _tell(self, change: ObjectChange) -> None:
        """It is about to be noted. Raises as the methods of `TargetCatalog`."""

    # TargetCatalog

    def pchannels(self) -> frozenset[str]:
        """None: there are no channels."""
        return frozenset()

    def databases(self) -> frozenset[str]:
        found = (json.loads(name) for name in self._notes.names())
        return frozenset({DEFAULT_DATABASE, *(database for database, *collection in found if not collection)})

    def create_database(self, name: str, properties: Mapping[str, str]) -> None:
        with self._changing:
            if name not in self.databases():
                self._tell(ObjectChange("create_database", name, details={"properties": dict(properties)}))
                self._notes.put({object_note(name): json.dumps(dict(properties))})

    def database_properties(self, name: str) -> Mapping[str, str] | None:
        noted = self._notes.get(object_note(name))
        return None if noted is None else dict(json.loads(noted))

    def alter_database(self, name: str, properties: Mapping[str, str], removed: Iterable[str] = ()) -> None:
        """`removed`: names of properties that end."""
        with self._changing:
            noted = self.database_properties(name)
            if noted is None:
                raise Refused(f"alter database {name!r}: there is none")
            left = {key: value for key, value in {**noted, **properties}.items() if key not in set(removed)}
            if left != noted:
                self._tell(ObjectChange("alter_database", name, details={"properties": left}))
                self._notes.put({object_note(name): json.dumps(left)})

    def drop_database(self, name: str) -> None:
        with self._changing:
            if self.collections(name):
                raise Refused(f"drop database {name!r}: it is not empty")
            if name in self.databases():
                self._tell(ObjectChange("drop_database", name))
                self._notes.put({object_note(name): None})

    def collections(self, database: str) -> frozenset[str]:
        found = (json.loads(name) for name in self._notes.names())
        return frozenset(collection[0] for owner, *collection in found if collection and owner == database)

    def ids(self, database: str) -> frozenset[int]:
        found = (self.describe(database, name) for name in self.collections(database))
        return frozenset(each.id for each in found if each is not None)

    def describe(self, database: str, name: str) -> TargetCollection | None:
        noted = self._noted(database, name)
        return noted.described if noted else None

    def create_collection(self, collection: Collection) -> None:
        database, name = collection.database, collection.name
        with self._changing:
            if database not in self.databases():
                raise Refused(f"create collection {name!r}: no database {database!r}")
            if self._noted(database, name) is None:
                described = self._made(collection)
                change = ObjectChange("create_collection", database, name, described.id, collection.created)
                self._tell(replace(change, made=collection))
                self._note(Noted(described))

    def drop_collection(self, database: str, name: str, at: Tso) -> None:
        with self._changing:
            if noted := self._noted(database, name):
                self._tell(ObjectChange("drop_collection", database, name, noted.described.id, at))
                self._notes.put({object_note(database, name): None})

    def create_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        with self._changing:
            noted = self._wanted(database, collection)
            if name not in noted.described.partitions:
                self._tell(_of_partition("create_partition", noted, name, at))
                number = self._new_partition(noted.described, at)
                self._note(noted.changed(partitions={**noted.described.partitions, name: number}))

    def drop_partition(self, database: str, collection: str, name: str, at: Tso) -> None:
        with self._changing:
            noted = self._noted(database, collection)
            if noted and name in noted.described.partitions:
                self._tell(_of_partition("drop_partition", noted, name, at))
                left = {each: number for each, number in noted.described.partitions.items() if each != name}
                self._note(noted.changed(partitions=left))

    def alter_collection(self, database: str, name: str, properties: Mapping[str, str]) -> None:
        with self._changing:
            noted = self._wanted(database, name)
            altered = {**noted.described.properties, **properties}
            if altered != noted.described.properties:
                self._tell(_of(noted, "alter_collection", properties=dict(properties)))
                self._note(noted.changed(properties=altered))

    def rename_collection(self, database: str, name: str, new_database: str, new_name: str) -> None:
        with self._changing:
            noted = self._wanted(database, name)
            if new_database not in self.databases() or self._noted(new_database, new_name):
                raise Refused(f"rename {database}.{name}: {new_database}.{new_name} cannot be")
            self._tell(_of(noted, "rename_collection", new_database=new_database, new_collection=new_name))
            renamed = noted.changed(database=new_database, name=new_name)
            self._notes.put({object_note(database, name): None, object_note(new_database, new_name): renamed.to_json()})

    def put_alias(self, database: str, name: str, alias: str) -> None:
        with self._changing:
            wanted = self._wanted(database, name)
            if self._noted(database, alias):
                raise Refused(f"alias {alias!r}: a collection has that name")
            if alias not in wanted.described.aliases:
                self._tell(_of(wanted, "put_alias", alias=alias))
                moved = wanted.changed(aliases=wanted.described.aliases | {alias})
                self._notes.put(self._without_alias(database, alias) | {object_note(database, name): moved.to_json()})

    def drop_alias(self, database: str, alias: str) -> None:
        with self._changing:
            if left := self._without_alias(database, alias):
                self._tell(ObjectChange("drop_alias", database, details={"alias": alias}))
                self._notes.put(left)

    def serving(self, database: str, name: str) -> Serving:
        noted = self._wanted(database, name)
        return Serving(tuple(noted.indexes.values()), int(noted.loaded))

    def apply(self, operation: Operation) -> None:
        with self._changing:
            if operation.kind is OperationKind.CREATE_DATABASE:
                self.create_database(operation.database, _properties(operation))
            elif operation.kind is OperationKind.DROP_DATABASE:
                self.drop_database(operation.database)
            elif operation.kind is OperationKind.ALTER_DATABASE:
                self.alter_database(operation.database, _properties(operation), operation.request.delete_keys)
            elif operation.kind in OF_USERS:
                self._tell(ObjectChange(_word(operation), operation.database, operation=operation))
            elif operation.kind is OperationKind.FLUSH:
                self._flush(operation)
            else:
                self._serve(operation)

    @abstractmethod
    def close(self) -> None: ...

    # indexes and loads

    def _flush(self, operation: Operation) -> None:
        for name in operation.collections:
            if noted := self._noted(operation.database, name):
                self._tell(_of_operation(noted, operation))

    def _serve(self, operation: Operation) -> None:
        """An index or a load of one collection."""
        needed = operation.kind in (
            OperationKind.CREATE_INDEX,
            OperationKind.LOAD_COLLECTION,
            OperationKind.LOAD_PARTITIONS,
        )
        find = self._wanted if needed else self._noted
        noted = find(operation.database, operation.collection)
        if noted is None:
            return
        served = _served(noted, operation)
        if served != noted or operation.partitions:
            self._tell(_of_operation(noted, operation))
            self._note(served)

    # the notes

    def _noted(self, database: str, name: str) -> Noted | None:
        text = self._notes.get(object_note(database, name))
        return None if text is None else Noted.from_json(text)

    def _wanted(self, database: str, name: str) -> Noted:
        noted = self._noted(database, name)
        if noted is None:
            raise Refused(f"the target has no collection {database}.{name}")
        return noted

    def _note(self, noted: Noted) -> None:
        described = noted.described
        self._notes.put({object_note(described.database, described.name): noted.to_json()})

    def _without_alias(self, database: str, alias: str) -> dict[str, str | None]:
        """Of the collection that has it; empty when none has."""
        for name in self.collections(database):
            noted = self._noted(database, name)
            if noted and alias in noted.described.aliases:
                left = noted.changed(aliases=noted.described.aliases - {alias})
                return {object_note(database, name): left.to_json()}
        return {}


def _properties(operation: Operation) -> dict[str, str]:
    return {pair.key: pair.value for pair in operation.request.properties}


def _served(noted: Noted, operation: Operation) -> Noted:
    """The collection after an operation on its indexes or its load. Pure."""
    request = operation.request
    match operation.kind:
        case OperationKind.CREATE_INDEX:
            name = request.index_name or request.field_name
            params = {pair.key: pair.value for pair in request.extra_params}
            return noted.with_index(Index(name, request.field_name, params))
        case OperationKind.ALTER_INDEX if index := noted.indexes.get(request.index_name):
            params = {**index.params, **{pair.key: pair.value for pair in request.extra_params}}
            return noted.with_index(replace(index, params=params))
        case OperationKind.DROP_INDEX:
            return noted.without_index(request.index_name or request.field_name)
        case OperationKind.LOAD_COLLECTION | OperationKind.LOAD_PARTITIONS:
            return replace(noted, loaded=True)
        case OperationKind.RELEASE_COLLECTION:
            return replace(noted, loaded=False)
    return noted


def _word(operation: Operation) -> str:
    return operation.kind.name.lower()


def _of(noted: Noted, op: str, **details: object) -> ObjectChange:
    described = noted.described
    return ObjectChange(op, described.database, described.name, described.id, details=details)


def _of_partition(op: str, noted: Noted, name: str, at: Tso) -> ObjectChange:
    return replace(_of(noted, op, partition=name), at=at)


def _of_operation(noted: Noted, operation: Operation) -> ObjectChange:
    return replace(_of(noted, _word(operation)), at=operation.timestamp, operation=operation)
