"""(d) A chain of comparisons: a policy as straight-line code, as long as the verifier takes it.

Prefixes come longest first, and each of a prefix's rules asks whether it is about one of the device's
groups and about the service. Rules of a prefix are in order of precedence, so that the first that matches
decides; where a rule was about the device and none matched, the prefix decides too, and denies.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final

from wardgate.compiler.language.model import Prefix, Rule
from wardgate.runtime.errors import WardgateError

from benchmarks.competitors.contestant import (
    Contestant,
    UnsuitableError,
    fill_owners,
    memory_of_all,
    owner_sizes,
)
from benchmarks.model import MAX_PORT, Match, ModelClass, PolicyModel, matches
from benchmarks.programs import FOLDER, Hook, build_text, load

NAME: Final = "chain of comparisons"
_MOST_SUBJECTS: Final = 128
_MOST_RULES: Final = 2_000
"""Beyond this a conditional jump to the end is out of the reach of its 16 bits."""


def make(model: PolicyModel, devices: int, hook: Hook) -> Contestant:
    """The contestant; UnsuitableError where the policy is too long or has too many groups."""
    rules = model.policy.rules
    if len(rules) > _MOST_RULES:
        raise UnsuitableError(f"{len(rules)} rules; the program's jumps reach over {_MOST_RULES}")
    subjects = sorted({rule.subject for rule in rules})
    if len(subjects) > _MOST_SUBJECTS:
        raise UnsuitableError(
            f"rules for {len(subjects)} groups and users, of which it holds {_MOST_SUBJECTS}"
        )
    bits = {subject: number for number, subject in enumerate(subjects)}

    def groups(one: ModelClass) -> int:
        return sum(1 << bits[subject] for subject in one.subjects)

    text = (
        f"#define XDP {int(hook == 'xdp')}\n"
        + (FOLDER / "competitors/common.h").read_text(encoding="utf-8")
        + chain(model, bits)
    )
    with ExitStack() as stack:
        try:
            loaded = stack.enter_context(load(build_text("linear.c", text), resize=owner_sizes(devices)))
        except WardgateError as error:
            raise UnsuitableError(f"the kernel refuses it: {error}") from error
        fill_owners(loaded.maps, model, devices, groups)
        size = memory_of_all(loaded) + loaded.programs["decide"].info.jited_length
        return Contestant(NAME, loaded.programs["decide"], loaded.maps, size, stack.pop_all())


def chain(model: PolicyModel, bits: dict[str, int]) -> str:
    """The C of the chain.

    It reads addresses, ports and groups from memory each time: what it knew of a register from one
    comparison would have the verifier follow every further one once for each such knowledge.
    """
    lines = [
        "INLINE u32 verdict_of(const struct owner *owner, const struct request *r)",
        "{",
        "\tu32 about;",
        "",
    ]
    for version in (4, 6):
        lines.append(f"\tif (r->version == {version}) {{")
        for prefix in reversed(model.prefixes):
            if prefix.version == version:
                lines += _prefix(prefix, model.rules_of(prefix), bits)
        lines.append("\t}")
    return "\n".join([*lines, "\treturn 0;", "}\n"])


def _prefix(prefix: Prefix, rules: Iterable[Rule], bits: dict[str, int]) -> Iterator[str]:
    yield f"\t\tif ({_contains(prefix)}) {{"
    yield "\t\t\tabout = 0;"
    for rule in rules:
        number = bits[rule.subject]
        yield f"\t\t\tif (READ_ONCE(owner->groups[{number // 64}]) & {1 << number % 64:#x}ULL) {{"
        yield "\t\t\t\tabout = 1;"
        for match in matches(rule.action, rule.services):
            yield f"\t\t\t\tif ({_covers(match)})"
            yield f"\t\t\t\t\treturn {int(match.verdict)};"
        yield "\t\t\t}"
    yield "\t\t\tif (about)"
    yield "\t\t\t\treturn 0;"
    yield "\t\t}"


def _covers(match: Match) -> str:
    conditions = [] if match.protocol is None else [f"r->protocol == {match.protocol}"]
    port = "READ_ONCE(r->ports->destination)"
    if match.low == match.high:
        conditions.append(f"{port} == {socket.htons(match.low):#x}")
    else:
        if match.low > 0:
            conditions.append(f"from_network16({port}) >= {match.low}")
        if match.high < MAX_PORT:
            conditions.append(f"from_network16({port}) <= {match.high}")
    return " && ".join(conditions) or "1"


def _contains(prefix: Prefix) -> str:
    parts = []
    words = zip(
        *(struct.unpack(f"={len(a.packed) // 4}I", a.packed) for a in (prefix.netmask, prefix[0])),
        strict=True,
    )
    for position, (mask, network) in enumerate(words):
        if mask:
            masked = "" if mask == 0xFFFFFFFF else f" & {mask:#x}U"
            parts.append(f"(READ_ONCE(r->remote[{position}]){masked}) == {network:#x}U")
    return " && ".join(parts) or "1"
