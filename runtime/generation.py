"""A generation: one loaded policy with its programs, its own maps and its manifest, all pinned.

Its folder is named by what it is: `N` for a whole one, `next-N` for one that is being made and may be
live on some hooks already, `old-N` for the one that a swap under way will remove, `gone-N` for one that
is being removed. See state for what that is good for.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Final

from wardgate.runtime.attach import Hook
from wardgate.runtime.codec import U32, record_codec
from wardgate.runtime.devices import Address
from wardgate.runtime.errors import ArtefactError
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import (
    MAPS_BY_NAME,
    PROGRAM_EGRESS,
    PROGRAM_INGRESS,
    PROGRAM_XDP,
    RULE_HITS,
    SUBJECT_CLASS,
    TUNNEL_INDEX,
    MapType,
    Scope,
)
from wardgate.runtime.layout.records import COUNTER
from wardgate.runtime.maps import Map, MapView, TypedMap
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.pins import GatePins, remove_tree
from wardgate.runtime.program import Program
from wardgate.runtime.shared import SharedMaps, sizes
from wardgate.runtime.spec import ObjectSpec

PROGRAMS: Final = {Hook.INGRESS: PROGRAM_INGRESS, Hook.EGRESS: PROGRAM_EGRESS, Hook.XDP: PROGRAM_XDP}

NEXT: Final = "next-"
OLD: Final = "old-"
GONE: Final = "gone-"
_MANIFEST: Final = "manifest"
_DIGEST: Final = "digest"


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation by its folder."""

    path: Path

    @property
    def number(self) -> int:
        """Its number, which its events carry."""
        return int(self.path.name.rpartition("-")[2])

    @property
    def mark(self) -> str:
        """`next-`, `old-`, `gone-`, or nothing."""
        return self.path.name[: -len(str(self.number))]

    def renamed(self, mark: str) -> Generation:
        """The same folder under another mark, in one step."""
        return Generation(self.path.rename(self.path.with_name(f"{mark}{self.number}")))

    def remove(self) -> None:
        """Unpin all of it. Where it is not live the kernel frees it."""
        remove_tree(self.renamed(GONE).path)

    @property
    def manifest(self) -> Manifest:
        """What the policy says of itself; ArtefactError where a crash left none."""
        return _read_manifest(self.path / _MANIFEST, self.path.stat().st_ino)

    @property
    def digest(self) -> bytes:
        """Digest of the artefact that it was made of, see `artefact_digest`."""
        return read_bytes(self.path / _DIGEST)

    def program(self, hook: Hook) -> Program:
        """The program for a hook; the caller closes it."""
        return Program.open_pin(self.path / PROGRAMS[hook])

    def program_ids(self) -> dict[Hook, int]:
        """Ids of the programs, of those that are pinned."""
        found = {}
        for hook, name in PROGRAMS.items():
            if (self.path / name).exists():
                with Program.open_pin(self.path / name) as program:
                    found[hook] = program.info.id
        return found

    def rule_hits(self) -> dict[int, tuple[int, int]]:
        """Rule id to packets and bytes that it decided, where any; 0: decided by no rule."""
        path = self.path / RULE_HITS.name
        if not path.exists():
            return {}
        with Map.open_pin(path) as raw:
            totals = TypedMap(raw, U32, record_codec(COUNTER)).totals()
            return {rule: (count.packets, count.bytes) for rule, count in totals if count.packets}


class GenerationTables:
    """A generation's tables open for change: a context manager. See devices.Generation."""

    def __init__(self, generation: Generation) -> None:
        self.manifest = generation.manifest
        self._stack = ExitStack()
        try:
            self._classes = self._view(generation.path / SUBJECT_CLASS.name)
            self._slots = self._view(generation.path / TUNNEL_INDEX.name)
        except BaseException:
            self._stack.close()
            raise
        index = self.manifest.tunnel_index
        self._base = int(ipaddress.IPv4Address(index.base)) if index else 0

    def _view(self, path: Path) -> MapView | None:
        if not path.exists():
            return None
        with Map.open_pin(path) as raw:
            return self._stack.enter_context(raw.view())

    def set_class(self, subject: int, user: str) -> None:
        """Give a subject the class that the policy has for the user."""
        if self._classes is not None:
            self._classes.store(subject, 0, 4, self.manifest.class_of(user))

    def set_slot(self, address: Address, slot: int) -> None:
        """Lead an address to a slot, if the index covers it."""
        if self._slots is not None and isinstance(address, ipaddress.IPv4Address):
            offset = int(address) - self._base
            if 0 <= offset < self._slots.slots:
                self._slots.store(offset, 0, 4, slot)

    def set_slots(self, slots: Mapping[Address, int]) -> None:
        """Lead all these addresses to their slots."""
        for address, slot in slots.items():
            self.set_slot(address, slot)

    def close(self) -> None:
        """Unmap the tables."""
        self._stack.close()

    def __enter__(self) -> GenerationTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def generations(pins: GatePins) -> list[Generation]:
    """All folders of the gate, by number, whatever their mark."""
    try:
        found = [Generation(path) for path in pins.generations.iterdir() if path.name[-1].isdigit()]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda generation: generation.number)


def build(
    pins: GatePins,
    spec: ObjectSpec,
    link_header: LinkHeader,
    shared: SharedMaps,
    hooks: Iterable[Hook],
    slots: int,
) -> Generation:
    """Load what `hooks` need of `spec` as the next generation, marked `next-`; its tables are empty.

    Shared maps that the gate lacks are made with `slots` device slots, and pinned. On any error the
    folder is removed again; WardgateError.
    """
    manifest = spec.manifest
    if manifest is None:
        raise ArtefactError(".wardgate.manifest", "is missing: the object was not made by `wardgate compile`")
    programs = {}
    for hook in hooks:
        name = PROGRAMS[hook]
        if name not in spec.programs:
            raise ArtefactError(f"program {name!r}", f"is missing, which the {hook.value} hook needs")
        programs[name] = spec.programs[name]
    digest = artefact_digest(spec)
    # Verifying a program that nothing will run would only take time.
    spec = replace(spec, programs=programs)
    number = max((generation.number for generation in generations(pins)), default=0) + 1
    generation = Generation(pins.generations / f"{NEXT}{number}")
    config = {"link_header": int(link_header), "generation": number, "trace": 0}
    with load_object(spec, config=config, shared_maps=shared.maps, resize=sizes(slots)) as loaded:
        generation.path.mkdir()
        try:
            _pin(generation, loaded, manifest, digest)
            shared.complete(pins, _of_scope(loaded, Scope.GATE), slots)
        except BaseException:
            generation.remove()
            raise
    return generation


def artefact_digest(spec: ObjectSpec) -> bytes:
    """SHA-256 of what an artefact makes the kernel do: equal for artefacts that need not be swapped.

    The manifest alone would not tell code apart that two compilers made of one policy.
    """
    parts = [spec.licence.encode(), spec.manifest.to_json() if spec.manifest else b""]
    for function in (*spec.programs.values(), *spec.functions.values()):
        references = [(one.index, one.target.value, one.name, one.offset) for one in function.relocations]
        parts += [function.name.encode(), function.instructions, repr(references).encode()]
    for table in spec.data.values():
        parts += [table.name.encode(), table.data]
    parts.append(repr(sorted(spec.maps.items())).encode())
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()


def _pin(generation: Generation, loaded: LoadedObject, manifest: Manifest, digest: bytes) -> None:
    for name, program in loaded.programs.items():
        program.pin(generation.path / name)
    for name, found in _of_scope(loaded, Scope.GENERATION).items():
        found.pin(generation.path / name)
    pin_bytes(generation.path / _MANIFEST, manifest.to_json())
    pin_bytes(generation.path / _DIGEST, digest)


def _of_scope(loaded: LoadedObject, scope: Scope) -> dict[str, Map]:
    return {name: found for name, found in loaded.maps.items() if MAPS_BY_NAME[name].scope is scope}


def pin_bytes(path: Path, data: bytes) -> None:
    """Keep `data` at `path`, as the one value of a frozen array."""
    with Map.create(path.name, MapType.ARRAY, 4, len(data), 1) as holder:
        holder.update(bytes(4), data)
        holder.freeze()
        holder.pin(path)


def read_bytes(path: Path) -> bytes:
    """What `pin_bytes` keeps there; BpfError where nothing is."""
    with Map.open_pin(path) as holder:
        return holder.lookup(bytes(4)) or b""


@lru_cache(maxsize=8)
def _read_manifest(path: Path, inode: int) -> Manifest:  # noqa: ARG001 - the inode tells folders apart
    return Manifest.from_json(read_bytes(path))
