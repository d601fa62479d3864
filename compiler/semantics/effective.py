"""The effective policy of a user: which rules apply to whom, and the buckets that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.compiler.language.model import EVERYONE, Policy, Prefix, Rule


def subjects_of(policy: Policy, user: str) -> tuple[str, ...]:
    """The subjects whose rules apply to `user`: everyone, each group with the user in it, the user."""
    groups = (group for group, members in policy.groups.items() if user in members)
    return (EVERYONE, *groups, user)


def effective_rules(policy: Policy, user: str, *, inbound: bool) -> tuple[Rule, ...]:
    """The rules that apply to `user` in one direction, in source order.

    A user whom the policy doesn't mention is in no group and has no rules of their own, and so has
    the rules of everyone.
    """
    subjects = subjects_of(policy, user)
    return tuple(rule for rule in policy.rules if rule.inbound is inbound and rule.subject in subjects)


def buckets(rules: tuple[Rule, ...]) -> dict[Prefix, tuple[Rule, ...]]:
    """All rules with exactly the same prefix, for each prefix; rules in source order."""
    found: dict[Prefix, list[Rule]] = {}
    for rule in rules:
        for prefix in rule.destinations:
            found.setdefault(prefix, []).append(rule)
    return {prefix: tuple(members) for prefix, members in found.items()}


@dataclass(frozen=True, slots=True)
class UserClass:
    """Users with the same effective policy in both directions. `users` is sorted, and empty for the
    class of users whom the policy doesn't mention if no mentioned user shares it."""

    users: tuple[str, ...]
    outbound: tuple[Rule, ...]
    inbound: tuple[Rule, ...]

    def rules(self, *, inbound: bool) -> tuple[Rule, ...]:
        """The rules of one direction."""
        return self.inbound if inbound else self.outbound


@dataclass(frozen=True, slots=True)
class UserClasses:
    """All users, by effective policy. `classes[0]` is that of the users whom the policy doesn't
    mention; `of` has the position in `classes` of each mentioned user's."""

    classes: tuple[UserClass, ...]
    of: Mapping[str, int]

    def index(self, user: str) -> int:
        """Position in `classes` of any user's class, mentioned or not."""
        return self.of.get(user, 0)


def user_classes(policy: Policy) -> UserClasses:
    """The users of `policy` by effective policy, found through rules by subject rather than one user
    at a time: its cost is that of the output."""
    by_subject: dict[str, list[Rule]] = {EVERYONE: []}
    for rule in policy.rules:
        by_subject.setdefault(rule.subject, []).append(rule)
    groups_of: dict[str, list[str]] = {user: [] for user in policy.users}
    for group, members in policy.groups.items():
        for member in members:
            groups_of[member].append(group)
    # Two users differ only if subjects that have rules differ.
    members_of: dict[tuple[str, ...], list[str]] = {(EVERYONE,): []}
    for user, groups in groups_of.items():
        subjects = tuple(name for name in (EVERYONE, *groups, user) if by_subject.get(name))
        members_of.setdefault(subjects if by_subject[EVERYONE] else (EVERYONE, *subjects), []).append(user)
    classes = [
        _user_class(tuple(users), [rule for subject in subjects for rule in by_subject[subject]])
        for subjects, users in members_of.items()
    ]
    of = {user: number for number, found in enumerate(classes) for user in found.users}
    return UserClasses(tuple(classes), of)


def _user_class(users: tuple[str, ...], rules: list[Rule]) -> UserClass:
    ordered = sorted(rules, key=lambda rule: rule.id)
    return UserClass(
        users,
        tuple(rule for rule in ordered if not rule.inbound),
        tuple(rule for rule in ordered if rule.inbound),
    )
