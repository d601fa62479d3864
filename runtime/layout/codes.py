"""Numbers that a packet's decision carries: verdicts, reasons, directions.

The programs write them into counters and events; userspace reads them back. The C header of the
programs is generated from here, so a number has one home.
"""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """What the rules of a bucket say about a service. NONE: no rule matches, which denies."""

    NONE = 0
    ALLOW = 1
    MFA = 2
    DENY = 3

    @property
    def effective(self) -> Verdict:
        """The verdict as a policy author states it: no matching rule is a deny."""
        return Verdict.DENY if self is Verdict.NONE else self

    @property
    def label(self) -> str:
        """One of `allow`, `mfa`, `deny`."""
        return self.effective.name.lower()


class Reason(IntEnum):
    """Why a packet passed or was dropped."""

    PASS = 0
    NO_DEVICE = 1
    LOCKED = 2
    NO_BUCKET = 3
    NO_RULE = 4
    DENY_RULE = 5
    NEEDS_LOGIN = 6
    SESSION_EXPIRED = 7
    IDLE = 8
    MALFORMED = 9
    FRAGMENT = 10
    NO_FLOW = 11
    LOGIN_TOO_OLD = 12

    @property
    def label(self) -> str:
        """The reason in words, such as `needs login`."""
        return self.name.lower().replace("_", " ")


REASON_SLOTS = 16
"""Counters kept for each direction: the reasons, padded to a power of two."""


class Direction(IntEnum):
    """Which way a packet crosses the tunnel device, seen from the peer behind it."""

    FROM_DEVICE = 0
    TO_DEVICE = 1


class LinkHeader(IntEnum):
    """Bytes before the IP header, which is how the programs tell a layer 3 device from Ethernet."""

    NONE = 0
    ETHERNET = 14


DEVICE_LOCKED = 1
"""Bit in a device's `flags`: what needs a session does not pass, whatever the deadline says."""

NOBODY_CLASS = 0
"""The policy class that no rule belongs to: a subject that the loaded policy cannot place."""

FREE_SLOT = 0
"""The device slot that is never used: the index tables hold it where an address has no device."""
