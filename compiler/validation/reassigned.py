"""Proof that an artefact, proved for one policy, means another one once its users have other classes."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from wardgate.compiler.language.model import Policy
from wardgate.compiler.validation.described import check_manifest
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.subjects import UNNAMED, Subjects, ruling_subjects
from wardgate.runtime.layout.manifest import Manifest


def validate_reassigned(manifest: Manifest, policy: Policy, proved: Manifest, of: Policy) -> int:
    """Prove that the artefact with the manifest `proved` means `policy`, where `manifest` takes that one's
    place; it is proved already that with its own it means `of`. How many users were compared.

    What a class means is what the users who had it in the old policy may. So it is enough that the rules are
    the same, and that each user now has the class of such as have the same subjects. Raises ValidationError
    with the first difference.
    """
    check_manifest(manifest, policy)
    _check_same_rules(policy, of)
    meaning = _meaning(proved, of)
    unnamed, named = ruling_subjects(policy)
    for user in (None, *named, *manifest.subjects.keys() - named.keys()):
        number = manifest.default_class if user is None else manifest.class_of(user)
        wanted = unnamed if user is None else named.get(user, unnamed)
        found = meaning.get(number)
        if found != wanted:
            raise ValidationError(
                UNNAMED if user is None else user,
                f"policy class {number}, of {_listed(found)}",
                f"has {_listed(wanted)}",
            )
    return 1 + len(named)


_SAID = attrgetter("id", "action", "subject", "inbound", "destinations", "services")


def _check_same_rules(policy: Policy, of: Policy) -> None:
    before, after = list(map(_SAID, of.rules)), list(map(_SAID, policy.rules))
    if before == after:
        return
    if len(before) != len(after):
        raise ValidationError("the number of rules", str(len(before)), f"has {len(after)}")
    place = next(place for place, old in enumerate(before) if old != after[place])
    old, new = of.rules[place], policy.rules[place]
    raise ValidationError(f"rule {new.id}", f"{old.subject} {old.text!r}", f"has {new.subject} {new.text!r}")


def _meaning(proved: Manifest, of: Policy) -> Mapping[int, Subjects]:
    """Of each class that some user had, whose rules it stands for."""
    unnamed, named = ruling_subjects(of)
    found = {proved.default_class: unnamed}
    for user, subjects in named.items():
        # Two users of one class may have different subjects only where the proof failed.
        found.setdefault(proved.class_of(user), subjects)
    return found


def _listed(subjects: Subjects | None) -> str:
    return "nobody" if subjects is None else "the rules of " + (", ".join(sorted(subjects)) or "no one")
