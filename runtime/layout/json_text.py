"""Frozen dataclasses as canonical JSON: keys sorted, no spaces, not only ASCII; what typed_json reads.

A manifest has as many records as a policy has rules and buckets. So a list is written as a whole: the items'
first fields, then their second ones. That is several times as fast as json.dumps with a `default`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import chain, islice
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, cast, get_args, get_origin, get_type_hints

_Writer = Callable[[Sequence[Any]], list[str]]
"""From values of one annotation to their texts."""


def write(value: Any) -> str:
    """The JSON text of a dataclass whose annotations are those that typed_json knows."""
    (text,) = _writer(cast("Any", type(value)))((value,))
    return text


def write_fields(value: Any, names: Iterable[str]) -> dict[str, str]:
    """The JSON texts of these fields of a dataclass, by name."""
    kind: Any = type(value)
    hints, found = _hints(kind), {}
    for name in names:
        (found[name],) = _writer(hints[name])((getattr(value, name),))
    return found


@cache
def _hints(cls: Any) -> Mapping[str, Any]:
    return get_type_hints(cls)


@cache
def _writer(hint: Any) -> _Writer:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _list_writer(_writer(arguments[0]))
    if origin is Mapping:
        return _object_writer(_writer(arguments[1]))
    if type(None) in arguments:
        return _optional_writer(_writer(arguments[0]))
    if hint is bool:
        return lambda values: ["true" if value else "false" for value in values]
    if hint is int:
        return lambda values: list(map(int.__repr__, values))
    if hint is str:
        return lambda values: list(map(encode_basestring, values))
    return _record_writer(hint)


def _list_writer(write_items: _Writer) -> _Writer:
    def write_lists(values: Sequence[Sequence[Any]]) -> list[str]:
        items = iter(write_items(list(chain.from_iterable(values))))
        return [f"[{','.join(islice(items, len(value)))}]" for value in values]

    return write_lists


def _object_writer(write_items: _Writer) -> _Writer:
    def write_objects(values: Sequence[Mapping[str, Any]]) -> list[str]:
        return [_object(value, write_items) for value in values]

    return write_objects


def _object(value: Mapping[str, Any], write_items: _Writer) -> str:
    keys = sorted(value)
    items = write_items([value[key] for key in keys])
    return f"{{{','.join(map('{}:{}'.format, map(encode_basestring, keys), items))}}}"


def _optional_writer(write_present: _Writer) -> _Writer:
    def write_optional(values: Sequence[Any]) -> list[str]:
        present = iter(write_present([value for value in values if value is not None]))
        return ["null" if value is None else next(present) for value in values]

    return write_optional


def _record_writer(cls: Any) -> _Writer:
    hints = _hints(cls)
    names = sorted(field.name for field in fields(cls))
    columns = [(attrgetter(name), _writer(hints[name])) for name in names]
    shape = f"{{{','.join(f'{encode_basestring(name)}:%s' for name in names)}}}"

    def write_records(values: Sequence[Any]) -> list[str]:
        texts = [write_field(list(map(get, values))) for get, write_field in columns]
        return [shape % row for row in zip(*texts, strict=True)]

    return write_records
