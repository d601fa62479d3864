"""A generation: one loaded policy with its programs, its own maps and its manifest, all pinned.

Its folder is named by what it is: `N` for a whole one, `next-N` for one that is being made and may be
live on some hooks already, `old-N` for the one that a swap under way will remove, `gone-N` for one that
is being removed. See state for what that is good for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardgate.runtime.addresses import is_ipv6, number_of, number_range
from wardgate.runtime.attach import Hook
from wardgate.runtime.codec import U32, record_codec
from wardgate.runtime.errors import ArtefactError, LayoutError
from wardgate.runtime.info import program_id
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest, TunnelIndex
from wardgate.runtime.layout.maps import (
    CONFIG_SECTION,
    MAPS_BY_NAME,
    PROGRAM_EGRESS,
    PROGRAM_INGRESS,
    PROGRAM_XDP,
    RULE_HITS,
    SUBJECT_CLASS,
    Scope,
)
from wardgate.runtime.layout.records import CONFIG, HITS, HITS_A_BLOCK
from wardgate.runtime.maps import Map, TypedMap
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.owners import Index
from wardgate.runtime.pins import GatePins, remove_tree
from wardgate.runtime.program import Program
from wardgate.runtime.shared import SharedMaps, class_entries, sizes
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.stored import Brief, StoredManifest, read_brief, read_manifest, remember_manifest
from wardgate.runtime.syscall import obj_get
from wardgate.runtime.views import MapView

PROGRAMS: Final = {Hook.INGRESS: PROGRAM_INGRESS, Hook.EGRESS: PROGRAM_EGRESS, Hook.XDP: PROGRAM_XDP}

NEXT: Final = "next-"
OLD: Final = "old-"
GONE: Final = "gone-"
_MANIFEST: Final = "manifest"
_CLASS_BITS: Final = (16, 32)


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
        """What the policy says of itself; StoredManifestError."""
        return read_manifest(self.path / _MANIFEST)

    @property
    def brief(self) -> Brief:
        """The little of it that devices need, which is much sooner read."""
        return read_brief(self.path / _MANIFEST)

    @property
    def stored(self) -> StoredManifest:
        """The manifest as it is pinned; its digest is that of the artefact."""
        return StoredManifest.read(self.path / _MANIFEST)

    def replace_manifest(self, stored: StoredManifest, manifest: Manifest) -> None:
        """Pin another in its place, in one step; `manifest` is `stored` as a whole."""
        stored.write(self.path / _MANIFEST)
        remember_manifest(self.path / _MANIFEST, manifest)

    def program(self, hook: Hook) -> Program:
        """The program for a hook; the caller closes it."""
        return Program.open_pin(self.path / PROGRAMS[hook])

    def program_ids(self) -> dict[Hook, int]:
        """Ids of the programs, of those that are pinned."""
        found = {}
        for hook, name in PROGRAMS.items():
            if (self.path / name).exists():
                with obj_get(self.path / name) as program:
                    found[hook] = program_id(program)
        return found

    def rule_hits(self) -> dict[int, tuple[int, int]]:
        """Rule id to packets and bytes that it decided, where any; 0: decided by no rule."""
        path = self.path / RULE_HITS.name
        if not path.exists():
            return {}
        found: dict[int, tuple[int, int]] = {}
        with Map.open_pin(path) as raw:
            for block, hits in TypedMap(raw, U32, record_codec(HITS)).totals():
                pairs = zip(hits.rules[::2], hits.rules[1::2], strict=True)
                rules = enumerate(pairs, block * HITS_A_BLOCK)
                found.update({rule: count for rule, count in rules if count[0]})
        return found


class OpenIndexes:
    """A generation's indexes of addresses, open for change: a context manager."""

    def __init__(self, generation: Generation) -> None:
        self.brief = generation.brief
        self._stack = ExitStack()
        try:
            self.indexes = tuple(
                self._open(generation.path / name, index) for name, index in self.brief.indexes
            )
        except BaseException:
            self._stack.close()
            raise

    def _open(self, path: Path, index: TunnelIndex) -> Index:
        with Map.open_pin(path) as raw:
            return Index(covered_range(index), raw.info.id, self._stack.enter_context(raw.view()))

    def close(self) -> None:
        """Unmap them."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OpenTables(OpenIndexes):
    """A generation's indexes and its table of classes, open for change: a context manager."""

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation)
        try:
            self._classes = self._open_classes(generation.path / SUBJECT_CLASS.name)
        except BaseException:
            self.close()
            raise

    def _open_classes(self, path: Path) -> MapView | None:
        if not path.exists():
            return None
        with Map.open_pin(path) as raw:
            return self._stack.enter_context(raw.view())

    def set_classes(self, users: Mapping[int, str]) -> int:
        """Give subjects the classes that the policy has for these users, each in one store, where they have
        others; how many had."""
        if self._classes is None:
            return 0
        bits = self.brief.class_bits
        entry_bits, size = 8 * self._classes.value_size, bits // 8
        wanted: dict[int, dict[int, int]] = {}
        for subject, user in users.items():
            slot, rest = divmod(subject * bits, entry_bits)
            wanted.setdefault(rest // 8, {})[slot] = self.brief.class_of(user)
        changed = 0
        for offset, classes in wanted.items():
            has = self._classes.column(offset, size)
            changes = {slot: number for slot, number in classes.items() if has[slot] != number}
            self._classes.store_each(offset, size, changes)
            changed += len(changes)
        return changed

    def set_class(self, subject: int, user: str) -> None:
        """Give a subject the class that the policy has for a user, in one store."""
        if self._classes is not None:
            size = self.brief.class_bits // 8
            slot, rest = divmod(subject * size, self._classes.value_size)
            self._classes.store(slot, rest, size, self.brief.class_of(user))


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
    stored: StoredManifest,
    link_header: LinkHeader,
    shared: SharedMaps,
    hooks: Iterable[Hook],
    slots: int,
) -> Generation:
    """Load what `hooks` need of `spec` as the next generation, marked `next-`; its classes are not set, and
    its indexes are empty but where it has them in common with other generations.

    `stored` is what `stored_manifest` makes of `spec`. Shared maps that the gate lacks are made with `slots`
    device slots, and pinned. On any error the folder is removed again; WardgateError.
    """
    manifest = _manifest_of(spec)
    bits = manifest.parameters.get("class_bits")
    if bits not in _CLASS_BITS or manifest.classes > 1 << bits:
        raise ArtefactError(".wardgate.manifest", f"has {manifest.classes} policy classes in {bits} bits")
    programs = {}
    for hook in hooks:
        name = PROGRAMS[hook]
        if name not in spec.programs:
            raise ArtefactError(f"program {name!r}", f"is missing, which the {hook.value} hook needs")
        programs[name] = spec.programs[name]
    # Verifying a program that nothing will run would only take time.
    spec = replace(spec, programs=programs)
    before = generations(pins)
    number = max((generation.number for generation in before), default=0) + 1
    generation = Generation(pins.generations / f"{NEXT}{number}")
    config = {"link_header": int(link_header), "generation": number}
    entries = sizes(slots, uncovered_versions(manifest))
    resize = {**entries, SUBJECT_CLASS.name: class_entries(slots, bits)}
    try:
        with ExitStack() as stack:
            given = {**shared.maps, **_common_indexes(manifest, before, stack)}
            loaded = stack.enter_context(load_object(spec, config=config, shared_maps=given, resize=resize))
            generation.path.mkdir()
            _pin(generation, loaded, stored)
            shared.complete(pins, _of_scope(loaded, Scope.GATE), entries)
    except BaseException:
        # Only now that what was loaded is closed: it may be for want of fds, and removing takes some.
        if generation.path.is_dir():
            generation.remove()
        raise
    return generation


def _common_indexes(manifest: Manifest, before: Iterable[Generation], stack: ExitStack) -> dict[str, Map]:
    """The indexes of other generations that cover the same addresses as those of `manifest`."""
    wanted = {"tunnel4": manifest.tunnel4, "tunnel6": manifest.tunnel6}
    found: dict[str, Map] = {}
    for generation in before:
        for name, index in generation.brief.indexes:
            if name not in found and index == wanted[name]:
                found[name] = stack.enter_context(Map.open_pin(generation.path / name))
    return found


def uncovered_versions(manifest: Manifest) -> int:
    """Of how many versions of IP the tunnel has addresses that no index covers."""
    indexes = [index for index in (manifest.tunnel4, manifest.tunnel6) if index is not None]
    covered = [covered_range(index) for index in indexes]
    found = set()
    for prefix in manifest.tunnel:
        numbers = number_range(prefix)
        if not any(numbers.start in one and numbers.stop <= one.stop for one in covered):
            found.add(is_ipv6(numbers.start))
    return len(found)


def covered_range(index: TunnelIndex) -> range:
    """The numbers of the addresses that an index covers."""
    first = number_of(ip_address(index.base))
    return range(first, first + index.size)


def traced(spec: ObjectSpec) -> ObjectSpec:
    """An artefact that tells of every packet, those that pass too and without a rate limit. It is another
    one: a gate that is given it swaps to it. LayoutError where it has no configuration."""
    table = spec.data.get(CONFIG_SECTION)
    if table is None or len(table.data) != CONFIG.size:
        raise LayoutError(CONFIG_SECTION, "is missing, or not one of this release")
    data = CONFIG.pack({**CONFIG.unpack(table.data), "trace": 1})
    return replace(spec, data={**spec.data, CONFIG_SECTION: replace(table, data=data)})


def stored_manifest(spec: ObjectSpec) -> StoredManifest:
    """The manifest of an artefact, and with it the digest of what the artefact makes the kernel do; the
    manifest alone would not tell code apart that two compilers made of one policy. ArtefactError where it
    has none."""
    return StoredManifest.of(_manifest_of(spec), _code_digest(spec))


def _manifest_of(spec: ObjectSpec) -> Manifest:
    if spec.manifest is None:
        raise ArtefactError(".wardgate.manifest", "is missing: the object was not made by `wardgate compile`")
    return spec.manifest


def _code_digest(spec: ObjectSpec) -> str:
    parts = [spec.licence.encode()]
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
    return total.hexdigest()


def _pin(generation: Generation, loaded: LoadedObject, stored: StoredManifest) -> None:
    for name, program in loaded.programs.items():
        program.pin(generation.path / name)
    for name, found in _of_scope(loaded, Scope.GENERATION).items():
        found.pin(generation.path / name)
    stored.write(generation.path / _MANIFEST)


def _of_scope(loaded: LoadedObject, scope: Scope) -> dict[str, Map]:
    return {name: found for name, found in loaded.maps.items() if MAPS_BY_NAME[name].scope is scope}
