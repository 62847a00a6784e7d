"""The shapes of requests: which fields there are and of what type. Unknown ones are refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load
from marshmallow.validate import Range

from api.errors import RefusedError, shortened
from api.limits import too_many

_INT32 = 2**31 - 1


class Flag(fields.Boolean):
    """true or false, and nothing that resembles them."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Whole(fields.Integer):
    """A JSON number without a fraction, of 32 bits."""

    def __init__(self, least: int | None = None) -> None:
        """`least` None leaves the lower bound to the one who knows its words."""
        super().__init__(strict=True, validate=Range(-_INT32 if least is None else least, _INT32))

    def _validated(self, value: Any) -> int:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Shape(Schema):
    """Of an object."""

    class Meta:
        unknown = RAISE


class DialConfigSchema(Shape):
    server_name = fields.String()
    server_pem_path = fields.String()
    ca_pem_path = fields.String()
    client_pem_path = fields.String()
    client_key_path = fields.String()


class MilvusConnectSchema(Shape):
    uri = fields.String()
    host = fields.String()
    port = Whole()
    username = fields.String()
    password = fields.String()
    token = fields.String()
    enable_tls = Flag()
    dial_config = fields.Nested(DialConfigSchema)
    connect_timeout = Whole()
    channel_num = Whole()
    ignore_partition = Flag()


class KafkaSaslSchema(Shape):
    username = fields.String()
    password = fields.String()
    mechanisms = fields.String()
    security_protocol = fields.String()


class KafkaConnectSchema(Shape):
    address = fields.String()
    topic = fields.String()
    enable_sasl = Flag()
    sasl = fields.Nested(KafkaSaslSchema)


class CollectionInfoSchema(Shape):
    name = fields.String()
    positions = fields.Dict(keys=fields.String(), values=fields.String())
    use_start_position = Flag()


class RpcChannelInfoSchema(Shape):
    name = fields.String()
    position = fields.String()


class ExtraInfoSchema(Shape):
    enable_user_role = Flag()


class BufferConfigSchema(Shape):
    period = Whole()
    size = Whole()


class NameMappingSchema(Shape):
    source_db = fields.String()
    target_db = fields.String()
    collection_mapping = fields.Dict(keys=fields.String(), values=fields.String())


class ExtensionSchema(Shape):
    """What the reference does not have."""

    sink = fields.String()
    format = fields.String()
    vectors = fields.String()
    max_rows_per_second = Whole(1)
    max_bytes_per_second = Whole(1)


class CreateSchema(Shape):
    task_id = fields.String()
    milvus_connect_param = fields.Nested(MilvusConnectSchema)
    kafka_connect_param = fields.Nested(KafkaConnectSchema)
    collection_infos = fields.List(fields.Nested(CollectionInfoSchema))
    db_collections = fields.Dict(keys=fields.String(), values=fields.List(fields.Nested(CollectionInfoSchema)))
    rpc_channel_info = fields.Nested(RpcChannelInfoSchema)
    extra_info = fields.Nested(ExtraInfoSchema)
    buffer_config = fields.Nested(BufferConfigSchema)
    name_mapping = fields.List(fields.Nested(NameMappingSchema))
    disable_auto_start = Flag()
    extension = fields.Nested(ExtensionSchema)
    on_undecodable = fields.String()
    validate_only = Flag()
    """Ours: look whether it would work, make nothing."""

    @pre_load
    def _within_limits(self, data: Any, **_: Any) -> Any:
        problems: dict[str, list[str]] = {}
        for field, problem in too_many(data) if isinstance(data, dict) else ():
            problems.setdefault(field, []).append(problem)
        if problems:
            raise ValidationError(problems)
        return data


class TaskSchema(Shape):
    """Of get, pause, resume and position."""

    task_id = fields.String(load_default="")


class DeleteSchema(TaskSchema):
    ignore_not_found = Flag(load_default=False)


class ListSchema(Shape):
    """No fields."""


class MaintenanceSchema(Shape):
    operation = fields.String(load_default="")
    params = fields.Dict(keys=fields.String(), load_default=dict)


def load(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """The request's data in the schema's shape. :raises RefusedError: names every field that is wrong."""
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise RefusedError.of(_flat(error.messages)) from None
    return loaded


def _flat(messages: Any, path: str = "") -> Iterator[str]:
    if not isinstance(messages, dict):
        for message in messages if isinstance(messages, list) else [messages]:
            yield f"{path or 'request_data'}: {str(message).rstrip('.').lower()}"
        return
    for key, inner in messages.items():
        # marshmallow files the parts of a Dict's entry under "key" and "value"
        step = (
            "" if key in ("value", "_schema") and path else f".{shortened(str(key))}" if path else shortened(str(key))
        )
        yield from _flat(inner, path + step)
