"""Users and policy classes side by side: every pair that a user has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import Policy
from wardgate.compiler.semantics import UserClass, user_classes
from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.runtime.layout.codes import NOBODY_CLASS

UNNAMED = "any user whom the policy does not name"


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Users with the rules of `users` whom the artefact gives policy class `number`. `user` is one of
    them, None: any whom the policy does not name."""

    users: UserClass
    number: int
    user: str | None

    @property
    def label(self) -> str:
        """The user, in words."""
        return UNNAMED if self.user is None else self.user


def class_pairs(encoded: Encoded, policy: Policy) -> Sequence[ClassPair]:
    """Each pair of an effective policy and a policy class that some user has."""
    manifest = encoded.manifest
    truth = user_classes(policy)
    classes = encoded.parameter("classes")
    if classes != manifest.classes:
        raise ValidationError("the number of policy classes", f"{manifest.classes} and {classes}", "has one")
    pairs = {(0, manifest.default_class): ClassPair(truth.classes[0], manifest.default_class, None)}
    # Also users whom only the manifest names: in the policy they are like all others whom it doesn't name.
    for user in sorted({*policy.users, *manifest.subjects}):
        key = (truth.index(user), manifest.class_of(user))
        if key not in pairs:
            pairs[key] = ClassPair(truth.classes[key[0]], key[1], user)
    for pair in pairs.values():
        if not NOBODY_CLASS < pair.number < classes:
            raise ValidationError(pair.label, f"policy class {pair.number} of {classes}", "has one for each")
    return tuple(pairs.values())
