"""Users and policy classes side by side: every pair that a user has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import EVERYONE, Policy
from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.runtime.layout.codes import NOBODY_CLASS

UNNAMED = "any user whom the policy does not name"

_CLASS_BITS = (16, 32)
"""As records.CLASSES has them."""

Subjects = frozenset[str]


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Users who have the rules of `subjects`, and no others, and whom the artefact gives policy class
    `number`. `user` is one of them, None: any whom the policy does not name."""

    subjects: Subjects
    number: int
    user: str | None

    @property
    def label(self) -> str:
        """The user, in words."""
        return UNNAMED if self.user is None else self.user


def ruling_subjects(policy: Policy) -> tuple[Subjects, Mapping[str, Subjects]]:
    """The subjects with rules whose rules make up an effective policy: that of users whom the policy does not
    name, and of each whom it does (semantics.reference, step 1).

    A rule has one subject, so two effective policies are the same exactly if these are.
    """
    ruling = {rule.subject for rule in policy.rules}
    everyone = frozenset({EVERYONE} & ruling)
    found = {user: {EVERYONE, user} for user in policy.users}
    for group, members in policy.groups.items():
        if group in ruling:
            for member in members:
                found[member].add(group)
    return everyone, {user: frozenset(subjects & ruling) for user, subjects in found.items()}


def class_pairs(encoded: Encoded, policy: Policy) -> Sequence[ClassPair]:
    """Each pair of an effective policy and a policy class that some user has."""
    manifest = encoded.manifest
    classes = encoded.parameter("classes")
    if classes != manifest.classes:
        raise ValidationError("the number of policy classes", f"{manifest.classes} and {classes}", "has one")
    bits = encoded.parameter("class_bits")
    if bits not in _CLASS_BITS or classes > 1 << bits:
        raise ValidationError(
            "parameter class_bits", f"{bits}", f"needs one of {_CLASS_BITS}, for {classes} classes"
        )
    unnamed, named = ruling_subjects(policy)
    pairs = {(unnamed, manifest.default_class): ClassPair(unnamed, manifest.default_class, None)}
    # Also users whom only the manifest names: in the policy they are like all others whom it doesn't name.
    for user in sorted({*named, *manifest.subjects}):
        key = (named.get(user, unnamed), manifest.class_of(user))
        if key not in pairs:
            pairs[key] = ClassPair(*key, user)
    for pair in pairs.values():
        if not NOBODY_CLASS < pair.number < classes:
            raise ValidationError(pair.label, f"policy class {pair.number} of {classes}", "has one for each")
    return tuple(pairs.values())
