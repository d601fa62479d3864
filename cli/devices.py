"""The devices file of `run`: which user is behind which tunnel address.

YAML, of which JSON is a subset: a list of `{address: [10.9.0.2, "fd09::2"], user: alice}`. It is read
from YAML's events, so that every mistake has a line and a column, and a hostile file costs neither
memory nor stack beyond its own size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import yaml

_LARGEST = 64 << 20
_DEEPEST = 4
_MOST_MISTAKES = 50
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}", re.ASCII)
_KEYS = ("address", "user")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Device:
    """A device: its tunnel addresses, its user, and where the file says so (line, from 1)."""

    addresses: tuple[Address, ...]
    user: str
    line: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A place in the file and what is wrong there; line and column count from 1."""

    line: int
    column: int
    message: str


class DevicesError(ValueError):
    """The devices file is not one; `mistakes` has every one found, `text` the file's lines."""

    def __init__(self, file: str, mistakes: list[Mistake], text: str) -> None:
        self.file = file
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column)))
        self._lines = text.split("\n")
        super().__init__(self._render())

    def _render(self) -> str:
        shown = []
        for mistake in self.mistakes:
            shown.append(f"{self.file}:{mistake.line}:{mistake.column}: error: {mistake.message}")
            if mistake.line <= len(self._lines) and len(self._lines[mistake.line - 1]) < 200:
                # One column a character, and nothing that a terminal would act on.
                source = "".join(c if c.isprintable() else " " for c in self._lines[mistake.line - 1])
                shown.append(f"    {source}".rstrip())
                shown.append("    " + " " * (mistake.column - 1) + "^")
        return "\n".join(shown)


@dataclass(frozen=True, slots=True)
class _Node:
    """A scalar (`value` str), a list (`value` list of nodes) or a mapping (list of pairs of nodes)."""

    kind: str
    value: Any
    mark: tuple[int, int]


class _InvalidError(Exception):
    """The file can't be read any further."""

    def __init__(self, mark: tuple[int, int], message: str) -> None:
        self.mistake = Mistake(mark[0] + 1, mark[1] + 1, message)


def read(path: Path) -> tuple[Device, ...]:
    """The devices in the file at `path`; DevicesError names each mistake, OSError the file."""
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    return parse(data, str(path))


def parse(data: bytes, file: str) -> tuple[Device, ...]:
    """The devices in `data`; DevicesError names each mistake in `file`."""
    text = ""
    try:
        if len(data) > _LARGEST:
            raise _InvalidError((0, 0), f"the file is larger than {_LARGEST >> 20} MiB")
        text = _decode(data)
        root = _document(text)
    except _InvalidError as invalid:
        raise DevicesError(file, [invalid.mistake], text) from None
    reader = _Reader()
    devices = reader.devices(root)
    if reader.mistakes:
        raise DevicesError(file, reader.mistakes, text)
    return devices


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        raise _InvalidError((line, column), "the file is not UTF-8") from None


def _document(text: str) -> _Node:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[Any] = yaml.parse(text, Loader=loader)
    try:
        root = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if root is not None:
                    raise _InvalidError(_mark(event), "only one document is allowed")
                root = _node(event, events, 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _InvalidError(
            (mark.line, mark.column) if mark else (0, 0), f"not YAML: {error.problem}"
        ) from None
    except yaml.YAMLError as error:
        raise _InvalidError((0, 0), f"not YAML: {str(error).splitlines()[0]}") from None
    if root is None:
        raise _InvalidError((0, 0), "the file is empty; write [] for no devices")
    return root


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line, event.start_mark.column


def _node(event: Any, events: Iterator[Any], depth: int) -> _Node:
    mark = _mark(event)
    if depth > _DEEPEST:
        raise _InvalidError(mark, "nested too deeply")
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _InvalidError(mark, "anchors and aliases are not allowed")
    if event.tag is not None:
        raise _InvalidError(mark, f"the tag {event.tag} is not allowed")
    if isinstance(event, yaml.ScalarEvent):
        return _Node("a text", event.value, mark)
    children = []
    end = yaml.SequenceEndEvent if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingEndEvent
    while not isinstance(inner := next(events), end):
        children.append(_node(inner, events, depth + 1))
    if end is yaml.SequenceEndEvent:
        return _Node("a list", children, mark)
    return _Node("a mapping", list(zip(children[::2], children[1::2], strict=True)), mark)


class _Reader:
    """Turns nodes into devices and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._owners: dict[Address, tuple[int, int]] = {}

    def _wrong(self, node: _Node, message: str) -> None:
        if len(self.mistakes) < _MOST_MISTAKES:
            self.mistakes.append(Mistake(node.mark[0] + 1, node.mark[1] + 1, message))

    def devices(self, root: _Node) -> tuple[Device, ...]:
        if root.kind != "a list":
            self._wrong(root, f"a list of devices is needed here, not {root.kind}")
            return ()
        found = (self._device(node) for node in root.value)
        return tuple(device for device in found if device)

    def _device(self, node: _Node) -> Device | None:
        if node.kind != "a mapping":
            self._wrong(node, "a device is written as {address: [10.9.0.2], user: alice}")
            return None
        parts: dict[str, _Node] = {}
        misnamed = False
        for key, value in node.value:
            name = key.value if key.kind == "a text" else None
            if name not in _KEYS:
                misnamed = True
                self._wrong(key, "a device has address and user, and nothing else")
            elif name in parts:
                self._wrong(key, f"{name} is given twice")
            else:
                parts[name] = value
        missing = [name for name in _KEYS if name not in parts]
        if missing:
            # The misnamed key was probably meant to be the missing one: one mistake is enough.
            if not misnamed:
                self._wrong(node, f"this device has no {' and no '.join(missing)}")
            return None
        addresses = self._addresses(parts["address"])
        user = self._user(parts["user"])
        return Device(addresses, user, node.mark[0] + 1) if addresses and user else None

    def _user(self, node: _Node) -> str | None:
        if node.kind != "a text" or not _USER.fullmatch(node.value):
            self._wrong(
                node, "a user's name has letters, digits and . _ @ + -, begins with one of the first two, "
                "and is at most 63 long"
            )  # fmt: skip
            return None
        return str(node.value)

    def _addresses(self, node: _Node) -> tuple[Address, ...]:
        nodes = node.value if node.kind == "a list" else [node]
        if not nodes:
            self._wrong(node, "a device has at least one address")
        found = (self._address(item) for item in nodes)
        return tuple(address for address in found if address is not None)

    def _address(self, node: _Node) -> Address | None:
        if node.kind != "a text":
            self._wrong(node, f"an address is needed here, not {node.kind}")
            return None
        text = node.value
        try:
            address = IPv6Address(text) if ":" in text else IPv4Address(text)
        except AddressValueError:
            self._wrong(node, f"{text[:60]!r} is not an IPv4 or IPv6 address")
            return None
        if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
            self._wrong(node, f"{text[:60]!r}: write a plain IPv4 or IPv6 address")
            return None
        owner = self._owners.setdefault(address, node.mark)
        if owner != node.mark:
            self._wrong(node, f"{address} is given already, in line {owner[0] + 1}")
            return None
        return address
