"""The kinds of findings: their codes, and what is to be known about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.compiler.language.diagnostics import Code


@dataclass(frozen=True, slots=True)
class About:
    """`summary`: what such a finding says, in a line. `help`: why it matters and what to do."""

    summary: str
    help: str


CODES: Mapping[str, About] = {
    Code.DEAD_RULE.value: About(
        "A rule changes nothing.",
        "No verdict changes when the rule is removed: other rules say the same or something stronger of all "
        "of its packets, longer prefixes leave it no address, or nobody has it. Remove it, or find out why "
        "it has no effect.",
    ),
    Code.DEFEATED_DENY.value: About(
        "A rule of another subject lets pass what a deny denies.",
        "The longest prefix decides alone, so a more specific rule under another subject takes addresses out "
        "of the deny's reach. Repeat the deny for the longer prefix, or remove the other rule.",
    ),
    Code.BYPASSED_MFA.value: About(
        "A rule of another subject lets pass without a login what an mfa rule asks one for.",
        "The longest prefix decides alone, so a more specific allow under another subject takes addresses "
        "out of the mfa rule's reach. Repeat the mfa rule for the longer prefix, or narrow the other rule.",
    ),
    Code.BLANKED_PREFIX.value: About(
        "A narrow prefix drops what a broader one lets pass.",
        "The longest prefix decides alone, so what rules for the broader prefix allow does not hold in the "
        "narrow one. Say again there what should pass, or leave the narrow rule out.",
    ),
    Code.NAME_IN_PREFIX.value: About(
        "A DNS name's address is inside another rule's prefix.",
        "Which of the rules decides about the address changes with the name's address, from one compilation "
        "to the next. Write the address, or name it under `hosts`.",
    ),
    Code.UNUSED_GROUP.value: About(
        "No rule is about a group.", "Remove the group, or write the rule that was meant to have it."
    ),
    Code.UNUSED_HOST.value: About(
        "Nothing names a host.", "Remove the host, or write the rule that was meant to have it."
    ),
    Code.UNUSED_SERVICE.value: About(
        "Nothing names a service.", "Remove the service, or write the rule that was meant to have it."
    ),
    Code.UNGROUPED_USER.value: About(
        "A user with rules is in no group.",
        "A misspelt name makes a user whom nobody is, with rules that nobody has. Check the spelling.",
    ),
    Code.UNUSED_IGNORE.value: About(
        "A comment silences nothing.",
        "What it was written for is gone, or it names no finding. Remove it, so that it doesn't hide the "
        "next one.",
    ),
}
"""By code. Codes don't change."""
