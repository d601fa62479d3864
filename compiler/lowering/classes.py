"""Policy classes: users with the same effective policy share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wardgate.compiler.language.model import EVERYONE, Policy, Prefix
from wardgate.runtime.layout.codes import NOBODY_CLASS

DEFAULT_CLASS = NOBODY_CLASS + 1
"""Class of a user whom the policy does not mention: the rules of everyone."""


@dataclass(frozen=True, slots=True)
class PolicyClass:
    """`subjects`: whose rules make it up, in the order `*`, groups by name, the user."""

    number: int
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyClasses:
    """`classes[i].number == i + 1`, since class 0 is nobody's; `of_user` has every mentioned user."""

    classes: tuple[PolicyClass, ...]
    of_user: Mapping[str, int]


def policy_classes(policy: Policy) -> PolicyClasses:
    """Group users by the subjects that have rules for them.

    Two users share a class exactly if the same subjects with rules apply to both: rules belong to
    one subject each, so this is the same as having the same effective set of rules.
    """
    ruled = {rule.subject for rule in policy.rules}
    users = policy.users
    groups_of: dict[str, list[str]] = {user: [] for user in users}
    for group in sorted(policy.groups):
        if group in ruled:
            for member in dict.fromkeys(policy.groups[group]):
                groups_of[member].append(group)
    everyone = (EVERYONE,) if EVERYONE in ruled else ()
    classes = [PolicyClass(DEFAULT_CLASS, everyone)]
    numbers = {everyone: DEFAULT_CLASS}
    of_user = {}
    for user in users:
        subjects = (*everyone, *groups_of[user], *((user,) if user in ruled else ()))
        number = numbers.get(subjects)
        if number is None:
            number = numbers[subjects] = len(classes) + 1
            classes.append(PolicyClass(number, subjects))
        of_user[user] = number
    return PolicyClasses(tuple(classes), of_user)


RulesByDestination = dict[int, tuple[int, ...]]
"""Destination class to the ids of the rules for its prefix, in the order of the source."""


def rules_by_subject(
    policy: Policy, number: Mapping[Prefix, int], *, inbound: bool
) -> dict[str, RulesByDestination]:
    """For each subject, its rules of one direction by destination; `number` is the prefixes' classes."""
    collected: dict[str, dict[int, list[int]]] = {}
    for rule in policy.rules:
        if rule.inbound is inbound:
            of_subject = collected.setdefault(rule.subject, {})
            for prefix in dict.fromkeys(rule.destinations):
                of_subject.setdefault(number[prefix], []).append(rule.id)
    return {
        subject: {destination: tuple(rules) for destination, rules in found.items()}
        for subject, found in collected.items()
    }
