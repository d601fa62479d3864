"""The view of a policy, by way of what compiling makes of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from wardgate.compiler.analysis.levels import with_levels
from wardgate.compiler.analysis.view import View
from wardgate.compiler.artefact.describe import describe_rules
from wardgate.compiler.collection import paused_collection
from wardgate.compiler.language.model import PORT_PROTOCOLS, Policy
from wardgate.compiler.lowering.buckets import find_buckets
from wardgate.compiler.lowering.classes import DEFAULT_CLASS, PolicyClasses, policy_classes
from wardgate.compiler.lowering.contributions import contributions
from wardgate.compiler.lowering.kinds import rule_kinds
from wardgate.compiler.lowering.patterns import find_patterns
from wardgate.compiler.validation.services import DecodedServices


class PolicyTables:
    """What all views of a policy share, whatever classes of users they are of."""

    def __init__(self, policy: Policy, name: str) -> None:
        self.policy = policy
        self._name = name
        with paused_collection():
            self._space, self._given = contributions(policy)
            self._services, self._kinds = rule_kinds(policy.rules)
            self._rules = describe_rules(policy)
        self._inbound = any(rule.inbound for rule in policy.rules)

    @cached_property
    def classes(self) -> PolicyClasses:
        """The classes that the policy's users have."""
        return policy_classes(self.policy)

    @property
    def destinations(self) -> int:
        """How many classes of destinations there are."""
        return self._space.count

    def view(self, classes: PolicyClasses | None = None) -> View:
        """The view of these classes of users; None: of those that there are."""
        chosen = self.classes if classes is None else classes
        space, services = self._space, self._services
        with paused_collection():
            buckets, lines = find_buckets(chosen, space, self._given, inbound=self._inbound)
            patterns = find_patterns(buckets, self._kinds, services.count)
        offsets = buckets.rules.offsets
        six = buckets.destination >= space.of_version(6).start

        def prefix_of(bucket: int) -> str:
            return str(space.prefixes[int(buckets.destination[bucket - 1]) - 1])

        def members(bucket: int) -> list[int]:
            found: list[int] = buckets.rules.values[offsets[bucket - 1] : offsets[bucket]].tolist()
            return found

        first = np.append(0, offsets[:-1])
        within = np.array([0, *(rule.within or 0 for rule in self.policy.rules)], np.int64)
        decisions = with_levels(
            patterns.of_bucket, patterns.columns, patterns.values, first, within[buckets.rules.values]
        )
        return View(
            name=self._name,
            rule=lambda number: self._rules[number - 1],
            groups={group: frozenset(members) for group, members in self.policy.groups.items()},
            class_of=chosen.of_user,
            default_class=DEFAULT_CLASS,
            runs={version: space.boundaries(version) for version in (4, 6)},
            services=DecodedServices(
                dict(zip(PORT_PROTOCOLS, services.ports, strict=True)), dict(enumerate(services.protocols))
            ),
            lines=lines,
            inbound_row=len(chosen.classes) + 1 if self._inbound else None,
            pattern=decisions.pattern,
            version=np.append(0, np.where(six, 6, 4)),
            first=first,
            rule_ids=buckets.rules.values,
            prefix_of=prefix_of,
            members=members,
            width=patterns.width,
            columns=decisions.columns,
            values=decisions.values,
            levels=decisions.levels,
        )


def view_of_policy(policy: Policy, name: str) -> View:
    """The view of a policy that people know as `name`."""
    return PolicyTables(policy, name).view()
