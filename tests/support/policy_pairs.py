"""Pairs of policies, one an edit of the other or another altogether, and what differs between two of them by
asking the reference about every packet that could matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import strategies as st
from random_policies import USERS, WITHIN, policies
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.language.model import Address, Packet, Policy
from wardgate.compiler.semantics import Decision, Evaluator, Session
from wardgate.compiler.semantics.partition import representatives
from wardgate.runtime.layout.durations import words

STRANGER = "somebody-else"


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    """The policy in JSON with a few changes: members, rules, whole subjects."""
    document: dict[str, Any] = json.loads(text)
    for _ in range(draw(st.integers(0, 4))):
        _edit(draw, document)
    return json.dumps(document, indent=1)


def _edit(draw: st.DrawFn, document: dict[str, Any]) -> None:
    groups = document.get("groups", {})
    sections = [document[name] for name in ("policies", "inbound") if document.get(name)]
    kind = draw(st.sampled_from(["join", "leave", "drop", "copy", "move", "vanish", "age"]))
    if kind in ("join", "leave") and groups:
        members = groups[draw(st.sampled_from(sorted(groups)))]
        user = draw(st.sampled_from(USERS) | st.just("grace"))
        if kind == "join" and user not in members:
            members.append(user)
        elif kind == "leave" and user in members and len(members) > 1:
            members.remove(user)
        return
    if not sections:
        return
    section = draw(st.sampled_from(sections))
    subject = draw(st.sampled_from(sorted(section)))
    if kind == "vanish":
        del section[subject]
        if subject in groups and not any(subject in other for other in sections):
            del groups[subject]
        return
    action = draw(st.sampled_from(sorted(section[subject])))
    rules = section[subject][action]
    rule = draw(st.sampled_from(rules))
    if kind in ("drop", "move") and len(rules) > 1:
        rules.remove(rule)
    if kind == "age" and action == "mfa":
        rules[rules.index(rule)] = aged(draw, rule, action)
    if kind in ("copy", "move"):
        target = draw(st.sampled_from(["*", *sorted(groups), *USERS]))
        chosen = draw(st.sampled_from(["allow", "mfa", "deny"]))
        mine = section.setdefault(target, {}).setdefault(chosen, [])
        if (copied := aged(draw, rule, chosen)) not in mine:
            mine.append(copied)


def aged(draw: st.DrawFn, rule: str, action: str) -> str:
    """The rule with another `within`, or none."""
    within = draw(st.sampled_from(WITHIN)) if action == "mfa" else ""
    return rule.partition(" within ")[0] + (f" within {within}" if within else "")


@st.composite
def pairs(draw: st.DrawFn, *, most_rules: int = 8) -> tuple[Policy, Policy]:
    """An old policy and a new one."""
    old = draw(policies(most_rules=most_rules)).text
    related = draw(st.sampled_from([True, True, True, False]))
    new = draw(edits(old)) if related else draw(policies(most_rules=most_rules)).text
    return parse_policy_text(old, "old.json").policy, parse_policy_text(new, "new.json").policy


Service = tuple[int, int | None]
Asked = tuple[tuple[str, ...], tuple[Address, ...], tuple[Service, ...]]


def everything(policies_asked: tuple[Policy, ...], *, inbound: bool) -> Asked:
    """Users, remotes and services, of which every combination is to be asked."""
    chosen = [representatives(policy, inbound=inbound) for policy in policies_asked]
    users = {STRANGER, *(user for policy in policies_asked for user in policy.users)}
    remotes = {remote for one in chosen for remote in one.remotes}
    services = {service for one in chosen for service in one.services}
    return (
        tuple(sorted(users)),
        tuple(sorted(remotes, key=lambda remote: (remote.version, int(remote)))),
        tuple(sorted(services, key=str)),
    )


Verdicts = tuple[str, str]


def differing(
    old: Policy, new: Policy, asked: Asked, *, inbound: bool
) -> Iterator[tuple[str, Address, Service, Verdicts, tuple[int, int]]]:
    """Each combination with another verdict, or another time that it gives a login: the verdicts with that,
    and the ids of the deciding rules (0: none)."""
    evaluators = Evaluator(old), Evaluator(new)
    for user, remote, service in product(*asked):
        packet = Packet(remote, *service, inbound)
        before, after = (one.evaluate(user, packet, Session.NONE) for one in evaluators)
        labels = labelled(before), labelled(after)
        if labels[0] != labels[1]:
            rules = tuple(one.rule.id if one.rule else 0 for one in (before, after))
            yield user, remote, service, labels, (rules[0], rules[1])


def labelled(decision: Decision) -> str:
    """The verdict and the time that it gives a login, in words."""
    within = decision.rule.within if decision.rule else None
    return decision.verdict.label + (f" within {words(within)}" if within else "")
