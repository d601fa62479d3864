"""Users who change to another class that the loaded policy has: one store each, and no new program.

Somebody joins a group, and what its members may is what others may already: then a policy's programs and
tables stay, and only the manifest and a user's entry in the table of classes change. The manifest is pinned
first. A writer that is killed after it leaves the gate marked as unfinished, and the next one sets the
classes by what is pinned; so what has been decided once is not taken back.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Final

from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.manifest import Manifest, RuleSource

_MAY_DIFFER: Final = frozenset({"subjects", "digest", "files"})
_RULES: Final = "rules"
_SAID: Final = attrgetter(*({field.name for field in fields(RuleSource)} - {"file", "line", "column"}))
"""What a rule says, wherever it stands."""
_REMEDY: Final = "compile the policy and swap to it"


class ReassignError(WardgateError):
    """The manifest differs from the loaded one in more than the classes of users."""


def changed_parts(loaded: Manifest, wanted: Manifest) -> set[str]:
    """The fields in which `wanted` differs: of users' classes, the policy's digests, and the positions of
    rules. ReassignError where it differs in anything else, or names a class that is not there."""
    found = {
        field.name
        for field in fields(Manifest)
        if field.name != _RULES and getattr(loaded, field.name) != getattr(wanted, field.name)
    }
    others = sorted(found - _MAY_DIFFER)
    if others:
        raise ReassignError("reassign users", "", f"the policy's {', '.join(others)} changed too", _REMEDY)
    if loaded.rules is not wanted.rules and loaded.rules != wanted.rules:
        if len(loaded.rules) != len(wanted.rules):
            raise ReassignError(
                "reassign users",
                "",
                f"the policy has {len(wanted.rules)} rules, the loaded one {len(loaded.rules)}",
                _REMEDY,
            )
        # All at once: there may be a hundred thousand, and nearly always only their lines differ.
        if list(map(_SAID, loaded.rules)) != list(map(_SAID, wanted.rules)):
            for old, new in zip(loaded.rules, wanted.rules, strict=True):
                _check_rule(old, new)
        found.add(_RULES)
    for user, number in wanted.subjects.items():
        if not 1 <= number < wanted.classes:
            raise ReassignError(
                "reassign users", user, f"class {number} of {wanted.classes} is not there", _REMEDY
            )
    return found


def moved_users(loaded: Manifest, wanted: Manifest) -> list[str]:
    """The users whose class differs, in order."""
    users = loaded.subjects.keys() | wanted.subjects.keys()
    return sorted(user for user in users if loaded.class_of(user) != wanted.class_of(user))


def _check_rule(old: RuleSource, new: RuleSource) -> None:
    if _SAID(old) != _SAID(new):
        raise ReassignError(
            "reassign users",
            f"rule {old.id}",
            f"it was {old.action} {old.text!r} of {old.policy!r}, and is {new.action} {new.text!r} of"
            f" {new.policy!r}",
            _REMEDY,
        )
