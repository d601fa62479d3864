"""JSON documents as frozen dataclasses, whose annotations say what a document may have and nothing else.

Annotations are `int` (of 64 bits, unsigned), `str`, `bool`, other such dataclasses, and `tuple[X, ...]`,
`Mapping[str, X]` and `X | None` of these. They are worked out once a class, since a manifest has as many
records as a policy has rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Reader = Callable[[Any], Any]


class MismatchError(ValueError):
    """A value is not what its place asks for. `str()` is the place within the document and what is wrong."""

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self._complaint = complaint
        self._steps: list[str] = []

    def at(self, step: str) -> None:
        """Add the step that leads to the place from the one around it."""
        self._steps.append(step)

    def __str__(self) -> str:
        return "".join(reversed(self._steps)) + self._complaint


def read(cls: type[T], document: Any) -> T:
    """`document`, as json.loads gives it, as a `cls`. MismatchError where it is not exactly one."""
    hint: Any = cls
    found = _reader(hint)(document)
    assert isinstance(found, cls)  # noqa: S101 - what _record_reader makes
    return found


@cache
def _reader(hint: Any) -> _Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _list_reader(_reader(arguments[0]))
    if origin is Mapping:
        return _object_reader(_reader(arguments[1]))
    if type(None) in arguments:
        present = _reader(arguments[0])
        return lambda value: None if value is None else present(value)
    if hint is int:
        return _read_number
    return _scalar_reader(hint) if hint in (str, bool) else _record_reader(hint)


def _scalar_reader(kind: type) -> _Reader:
    def read_scalar(value: Any) -> Any:
        if type(value) is not kind:
            raise MismatchError(f" is not a valid {kind.__name__}")
        return value

    return read_scalar


def _read_number(value: Any) -> int:
    # Not isinstance: a bool is an int.
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise MismatchError(" is not a valid int")
    return value


def _list_reader(read_item: _Reader) -> _Reader:
    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise MismatchError(" is not a list")
        found: list[Any] = []
        try:
            for item in value:
                found.append(read_item(item))  # noqa: PERF401 - how many there are tells where it failed
        except MismatchError as error:
            error.at(f"[{len(found)}]")
            raise
        return tuple(found)

    return read_list


def _object_reader(read_item: _Reader) -> _Reader:
    def read_object(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise MismatchError(" is not an object")
        found: dict[str, Any] = {}
        for key, item in value.items():
            try:
                found[key] = read_item(item)
            except MismatchError as error:
                error.at(f".{key}")
                raise
        return found

    return read_object


def _record_reader(cls: Any) -> _Reader:
    hints = get_type_hints(cls)
    readers = [(field.name, _reader(hints[field.name])) for field in fields(cls)]
    names = {name for name, _ in readers}

    def read_record(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MismatchError(" is not an object")
        if value.keys() != names:
            missing, unknown = sorted(names - value.keys()), sorted(value.keys() - names)
            raise MismatchError(f": missing {missing}, unknown {unknown}")
        found: list[Any] = []
        try:
            for name, read_field in readers:
                found.append(read_field(value[name]))
        except MismatchError as error:
            error.at(f".{readers[len(found)][0]}")
            raise
        return cls(*found)

    return read_record
