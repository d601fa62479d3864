"""Which users an assertion is about, by their rules: those that there are, or any that there could be.

With `membership: any` users could be in any set of groups, of which there are 2^n. A few of them are enough:

    What a user's rules say of a packet is decided in the bucket of one prefix, by its rules of one verdict at
    most. If some rule matches, take one that gives the verdict, else any rule of the bucket, and drop all
    subjects but that rule's and those that the user cannot be without. No longer prefix comes up, for rules
    became fewer; the bucket is still there, for the rule is in it; and no stronger verdict comes up, for the
    bucket's rules became fewer. So the packet has the same verdict.

So whatever verdict any set of groups can bring about, one group at most does, beside those that the user has
anyway; and of a user's own rules and the groups', one subject at most. That includes groups that make the
longest prefix longer and so take away what others allow: they do it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Assertion, AssertionKind, Policy
from wardgate.compiler.lowering.classes import DEFAULT_CLASS, PolicyClass, PolicyClasses
from wardgate.compiler.semantics.partition import unmentioned_user


@dataclass(frozen=True, slots=True)
class Somebody:
    """A user of the class `number`, in `groups` as the claim supposes; None: in those that they are in."""

    number: int
    user: str
    groups: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Memberships:
    """So many `users` (those with rules of their own, and one for all others), each in any of `groups`."""

    users: int
    groups: int

    @property
    def count(self) -> int:
        """The combinations of a user and a set of groups."""
        return self.users << self.groups


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom a claim is about: one of each of `classes` that the claim is about. `memberships`: what these
    stand for, None where groups are as they are."""

    classes: PolicyClasses
    people: tuple[Somebody, ...]
    memberships: Memberships | None


def concerned(policy: Policy, present: PolicyClasses, assertion: Assertion) -> Concerned:
    """Whom `assertion` is about; `present` are the classes that the policy's users have."""
    if assertion.any_membership:
        return _any_membership(policy, assertion)
    return Concerned(present, tuple(_present(policy, present, assertion)), None)


def supposing(policy: Policy, somebody: Somebody) -> Policy:
    """The policy with the user in the groups that are supposed, and in no others."""
    if somebody.groups is None:
        return policy
    groups = {
        group: tuple(member for member in members if member != somebody.user)
        + ((somebody.user,) if group in somebody.groups else ())
        for group, members in policy.groups.items()
    }
    return replace(policy, groups=groups)


def _present(policy: Policy, present: PolicyClasses, assertion: Assertion) -> Iterator[Somebody]:
    outside = assertion.kind is AssertionKind.ONLY
    everyone = assertion.subject == EVERYONE
    members = frozenset(policy.groups.get(assertion.subject, (assertion.subject,)))
    by_class: dict[int, list[str]] = {found.number: [] for found in present.classes}
    for user, number in present.of_user.items():
        by_class[number].append(user)
    # The users whom the policy doesn't name, whom a claim may be the first to name.
    is_user = not everyone and not assertion.subject.startswith(GROUP_MARK)
    if is_user and assertion.subject not in present.of_user:
        by_class[DEFAULT_CLASS].append(assertion.subject)
    for number, users in by_class.items():
        fitting = [user for user in sorted(users) if (everyone or user in members) is not outside]
        if not fitting and number == DEFAULT_CLASS and everyone is not outside:
            fitting = [_stranger(policy, assertion)]
        if fitting:
            yield Somebody(number, fitting[0], None)


def _any_membership(policy: Policy, assertion: Assertion) -> Concerned:
    ruling = {rule.subject for rule in policy.rules}
    subject, outside = assertion.subject, assertion.kind is AssertionKind.ONLY
    is_group = subject.startswith(GROUP_MARK)
    groups = [group for group in sorted(policy.groups) if group != subject]
    ruled_groups = [group for group in groups if group in ruling]
    owners = sorted(one for one in ruling if one != EVERYONE and not one.startswith(GROUP_MARK))
    stranger = _stranger(policy, assertion)
    fixed = (subject,) if is_group and not outside else ()
    if is_group or subject == EVERYONE:
        kinds = len(owners) + 1
    elif outside:
        # Users who have the subject's rules are the subject, and may pass.
        owners = [owner for owner in owners if owner != subject]
        kinds = len(owners) + 1
    else:
        stranger, owners, kinds = subject, [], 1
    supposed = [(stranger, fixed), *((owner, fixed) for owner in owners)]
    supposed += [(stranger, (*fixed, group)) for group in ruled_groups]

    numbers: dict[tuple[str, ...], int] = {}
    classes: list[PolicyClass] = []
    people = []
    for user, chosen in supposed:
        subjects = tuple(name for name in (EVERYONE, *sorted(chosen), user) if name in ruling)
        number = numbers.setdefault(subjects, len(numbers) + DEFAULT_CLASS)
        if number - DEFAULT_CLASS == len(classes):
            classes.append(PolicyClass(number, subjects))
            people.append(Somebody(number, user, chosen))
    return Concerned(PolicyClasses(tuple(classes), {}), tuple(people), Memberships(kinds, len(groups)))


def _stranger(policy: Policy, assertion: Assertion) -> str:
    """A user whom neither names."""
    return unmentioned_user(replace(policy, assertions=(*policy.assertions, assertion)))
