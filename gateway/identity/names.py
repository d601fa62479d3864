"""Names of users, groups and devices, checked before anything is done with them.

A user's name is what a policy may call a user, so that it is never a group's and never a path. A device's
name becomes the name of a file on its owner's machine.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Final

from wardgate.gateway.errors import InvalidError
from wardgate.runtime.subjects import SubjectError
from wardgate.runtime.subjects import check_user as check_subject

_DEVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def check_user(name: str) -> str:
    """`name`, if it may be a user's; InvalidError."""
    try:
        return check_subject(name)
    except SubjectError as error:
        raise InvalidError(error.operation, repr(name[:80]), error.cause, error.remedy) from None


def check_device(name: str) -> str:
    """`name`, if it may be a device's; InvalidError."""
    if _DEVICE.fullmatch(name):
        return name
    raise InvalidError(
        "name device",
        repr(name[:80]),
        "it is not a device's name",
        "use letters, digits and . _ -, beginning with a letter or digit, 40 at most",
    )


def check_groups(groups: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """`groups` in order and without repetitions, if the policy in force knows each; InvalidError."""
    for group in groups:
        if group not in known:
            wanted = group if group.startswith("group:") else f"group:{group}"
            close = difflib.get_close_matches(wanted, sorted(known), 1)
            raise InvalidError(
                "join group",
                repr(group[:80]),
                "the policy in force has no such group",
                f"did you mean {close[0]}?" if close else "define it under `groups` and apply the policy",
            )
    return tuple(sorted(set(groups)))
