from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyValuePair(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class KeyDataPair(_message.Message):
    __slots__ = ("key", "data")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    key: str
    data: bytes
    def __init__(self, key: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class DatabaseInfo(_message.Message):
    __slots__ = ("name", "id", "state", "properties")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: int
    state: int
    properties: _containers.RepeatedCompositeFieldContainer[KeyValuePair]
    def __init__(self, name: _Optional[str] = ..., id: _Optional[int] = ..., state: _Optional[int] = ..., properties: _Optional[_Iterable[_Union[KeyValuePair, _Mapping]]] = ...) -> None: ...

class CollectionInfo(_message.Message):
    __slots__ = ("id", "schema", "create_time", "partition_ids", "partition_names", "virtual_channel_names", "physical_channel_names", "partition_created_timestamps", "shards_num", "start_positions", "consistency_level", "state", "properties", "db_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    PARTITION_IDS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_NAMES_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_CHANNEL_NAMES_FIELD_NUMBER: _ClassVar[int]
    PHYSICAL_CHANNEL_NAMES_FIELD_NUMBER: _ClassVar[int]
    PARTITION_CREATED_TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_NUM_FIELD_NUMBER: _ClassVar[int]
    START_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    DB_ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    schema: bytes
    create_time: int
    partition_ids: _containers.RepeatedScalarFieldContainer[int]
    partition_names: _containers.RepeatedScalarFieldContainer[str]
    virtual_channel_names: _containers.RepeatedScalarFieldContainer[str]
    physical_channel_names: _containers.RepeatedScalarFieldContainer[str]
    partition_created_timestamps: _containers.RepeatedScalarFieldContainer[int]
    shards_num: int
    start_positions: _containers.RepeatedCompositeFieldContainer[KeyDataPair]
    consistency_level: int
    state: int
    properties: _containers.RepeatedCompositeFieldContainer[KeyValuePair]
    db_id: int
    def __init__(self, id: _Optional[int] = ..., schema: _Optional[bytes] = ..., create_time: _Optional[int] = ..., partition_ids: _Optional[_Iterable[int]] = ..., partition_names: _Optional[_Iterable[str]] = ..., virtual_channel_names: _Optional[_Iterable[str]] = ..., physical_channel_names: _Optional[_Iterable[str]] = ..., partition_created_timestamps: _Optional[_Iterable[int]] = ..., shards_num: _Optional[int] = ..., start_positions: _Optional[_Iterable[_Union[KeyDataPair, _Mapping]]] = ..., consistency_level: _Optional[int] = ..., state: _Optional[int] = ..., properties: _Optional[_Iterable[_Union[KeyValuePair, _Mapping]]] = ..., db_id: _Optional[int] = ...) -> None: ...

class PartitionInfo(_message.Message):
    __slots__ = ("partition_id", "partition_name", "partition_created_timestamp", "collection_id", "state")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_NAME_FIELD_NUMBER: _ClassVar[int]
    PARTITION_CREATED_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    partition_name: str
    partition_created_timestamp: int
    collection_id: int
    state: int
    def __init__(self, partition_id: _Optional[int] = ..., partition_name: _Optional[str] = ..., partition_created_timestamp: _Optional[int] = ..., collection_id: _Optional[int] = ..., state: _Optional[int] = ...) -> None: ...

class AliasInfo(_message.Message):
    __slots__ = ("alias_name", "collection_id", "state", "db_id")
    ALIAS_NAME_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DB_ID_FIELD_NUMBER: _ClassVar[int]
    alias_name: str
    collection_id: int
    state: int
    db_id: int
    def __init__(self, alias_name: _Optional[str] = ..., collection_id: _Optional[int] = ..., state: _Optional[int] = ..., db_id: _Optional[int] = ...) -> None: ...

class IndexInfo(_message.Message):
    __slots__ = ("collection_id", "field_id", "index_name", "index_id", "index_params", "user_index_params")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_NAME_FIELD_NUMBER: _ClassVar[int]
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_PARAMS_FIELD_NUMBER: _ClassVar[int]
    USER_INDEX_PARAMS_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    field_id: int
    index_name: str
    index_id: int
    index_params: _containers.RepeatedCompositeFieldContainer[KeyValuePair]
    user_index_params: _containers.RepeatedCompositeFieldContainer[KeyValuePair]
    def __init__(self, collection_id: _Optional[int] = ..., field_id: _Optional[int] = ..., index_name: _Optional[str] = ..., index_id: _Optional[int] = ..., index_params: _Optional[_Iterable[_Union[KeyValuePair, _Mapping]]] = ..., user_index_params: _Optional[_Iterable[_Union[KeyValuePair, _Mapping]]] = ...) -> None: ...

class FieldIndex(_message.Message):
    __slots__ = ("index_info", "deleted", "create_time")
    INDEX_INFO_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    index_info: IndexInfo
    deleted: bool
    create_time: int
    def __init__(self, index_info: _Optional[_Union[IndexInfo, _Mapping]] = ..., deleted: bool = ..., create_time: _Optional[int] = ...) -> None: ...

class CollectionLoadInfo(_message.Message):
    __slots__ = ("collection_id", "replica_number", "status", "load_type")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    replica_number: int
    status: int
    load_type: int
    def __init__(self, collection_id: _Optional[int] = ..., replica_number: _Optional[int] = ..., status: _Optional[int] = ..., load_type: _Optional[int] = ...) -> None: ...
