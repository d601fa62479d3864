"""Words for people about what changes between two policies: what the text and the review comment share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardgate.compiler.analysis.statements import Difference, Membership, Statement
    from wardgate.compiler.analysis.view import Decided
    from wardgate.compiler.language.model import Packet

LONGEST = 100
"""Characters of a rule's text that are shown."""


def visible(text: str) -> str:
    """`text` on one line, and with what a terminal or a reader would not show as itself written out."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def plain(text: str) -> str:
    """The same, cut where it is long."""
    shown = visible(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def listed(items: Sequence[object], most: int | None) -> str:
    """The items, or the first `most` and how many more there are."""
    if most is None or len(items) <= most:
        return ", ".join(map(str, items))
    return f"{', '.join(map(str, items[:most]))} and {len(items) - most:,} more"


def people(statement: Statement, most: int | None) -> str:
    """Whom a statement is about."""
    found = statement.people
    names = (
        f"whoever is in {' and in '.join(map(str, found.terms))}" if found.both else listed(found.terms, most)
    )
    return f"{names} except {listed(found.excepting, most)}" if found.excepting else names


def areas(statement: Statement, most: int | None) -> str:
    """Where a statement is about."""
    from wardgate.compiler.analysis.areas import short

    shown = []
    for area in statement.areas if most is None else statement.areas[:most]:
        left_out = [short(prefix) for prefix in area.excepting]
        shown.append(f"{short(area.prefix)} except {listed(left_out, most)}" if left_out else str(area))
    # What follows an exception begins anew.
    text = ("; " if any(area.excepting for area in statement.areas) else ", ").join(shown)
    return (
        text
        if len(shown) == len(statement.areas)
        else f"{text} and {len(statement.areas) - len(shown):,} more"
    )


def services(statement: Statement, most: int | None) -> str:
    """Which services a statement is about."""
    words = statement.services.words
    shown = " ".join(words if most is None else words[:most])
    if most is not None and len(words) > most:
        shown = f"{shown} and {len(words) - most:,} more"
    if not statement.services.everything:
        return shown
    return f"every service except {shown}" if words else "every service"


def packet(user: str, packet: Packet) -> str:
    """A packet, as `explain` is asked about it."""
    from wardgate.compiler.language.services import service_label

    way = "from" if packet.inbound else "to"
    service = service_label(packet.protocol, packet.port, packet.remote.version)
    return f"{user} {way} {packet.remote} {service}"


def membership(change: Membership, most: int | None) -> str:
    """Who joined a group, and who left it."""
    parts = [
        f"{listed(users, most)} {verb}{'s' * (len(users) == 1)}"
        for users, verb in ((change.joined, "join"), (change.left, "leave"))
        if users
    ]
    return ", ".join(parts)


def without_rule(decided: Decided) -> str:
    """Why no rule decides a packet."""
    if decided.prefix is None:
        return "no rule is about the address"
    return f"no rule for {decided.prefix} matches, and the longest prefix decides"


def outcome(found: Difference) -> str:
    """What it comes to."""
    if not found.statements:
        return "No difference in meaning."
    count = len(found.statements)
    changes = f"{count:,} change{'s' * (count != 1)}"
    if not found.widens:
        return f"Access does not widen: nothing of {changes} lets pass what was dropped before."
    verb = "let" if found.widening != 1 else "lets"
    return f"Access widens: {found.widening:,} of {changes} {verb} pass what was dropped before."
