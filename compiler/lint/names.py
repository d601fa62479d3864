"""The names that a policy defines, and whether anything is about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardgate.compiler.language.definitions import sections
from wardgate.compiler.language.destinations import full_prefix
from wardgate.compiler.language.diagnostics import Code
from wardgate.compiler.language.includes import Documents
from wardgate.compiler.language.load import LoadedPolicy
from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Policy, Position, Prefix
from wardgate.compiler.language.names import WITHIN
from wardgate.compiler.language.nodes import Mapping as MappingNode
from wardgate.compiler.language.nodes import Node, Scalar, Sequence
from wardgate.compiler.language.words import split_words
from wardgate.compiler.lint.blanked import DnsNames, destination_word

_WITHIN = f"{WITHIN} "
"""What follows it in a rule is no service."""

_KINDS = {
    Code.UNUSED_GROUP: ("groups", "no rule and no assertion is about {name}", "group"),
    Code.UNUSED_HOST: ("hosts", "no rule, test or assertion names the host {name}", "host"),
    Code.UNUSED_SERVICE: ("services", "no rule, test or assertion names the service {name}", "service"),
}


@dataclass(frozen=True, slots=True)
class Idle:
    """A name that nothing is about; `length` characters at `position`."""

    code: Code
    name: str
    position: Position
    length: int
    message: str
    remedy: str


def idle_names(loaded: LoadedPolicy) -> Iterator[Idle]:
    """Unused groups, hosts and services, and users in no group."""
    policy, documents = loaded.policy, loaded.documents
    used = {
        Code.UNUSED_GROUP: _subjects(policy),
        Code.UNUSED_HOST: _destinations(policy, documents),
        Code.UNUSED_SERVICE: _services(policy, documents),
    }
    for code, (section, message, what) in _KINDS.items():
        for key, _ in _entries(documents, section):
            if key.text not in used[code]:
                told = message.format(name=f"`{key.text}`")
                remedy = f"remove the {what}, or write the rule that was meant to have it"
                yield Idle(code, key.text, key.position, key.length, told, remedy)
    yield from _ungrouped(policy, documents)


def dns_names(loaded: LoadedPolicy) -> DnsNames:
    """By the destination that a rule may have: the DNS names that it is or contains, with their addresses."""
    resolved = {
        name: tuple(full_prefix(address) for address in addresses)
        for name, addresses in loaded.policy.resolved.items()
    }
    if not resolved:
        return {}
    hosts = {key.text: _texts(value) for key, value in _entries(loaded.documents, "hosts")}
    words = {destination_word(rule) for rule in loaded.policy.rules}
    found: dict[str, dict[str, tuple[Prefix, ...]]] = {}
    for word in words:
        names = {part.lower() for part in hosts.get(word, (word,))}
        found[word] = {name: resolved[name] for name in sorted(names & resolved.keys())}
    return found


def _ungrouped(policy: Policy, documents: Documents) -> Iterator[Idle]:
    """Users who have rules and are in no group, where there are groups to be in."""
    members = {member for group in policy.groups.values() for member in group}
    if not policy.groups:
        return
    seen: set[str] = set()
    for section in ("policies", "inbound"):
        for key, _ in _entries(documents, section):
            name = key.text
            if name == EVERYONE or name.startswith(GROUP_MARK) or name in members or name in seen:
                continue
            seen.add(name)
            yield Idle(
                Code.UNGROUPED_USER,
                name,
                key.position,
                key.length,
                f"`{name}` has rules, and is in no group",
                "check the name's spelling, or add the user to a group",
            )


def _subjects(policy: Policy) -> set[str]:
    claimed = {assertion.subject for assertion in policy.assertions}
    return {rule.subject for rule in policy.rules} | claimed


def _destinations(policy: Policy, documents: Documents) -> set[str]:
    used = {destination_word(rule) for rule in policy.rules}
    return used | set(_claimed(documents, ("to", "from")))


def _services(policy: Policy, documents: Documents) -> set[str]:
    """The words that are services of rules and claims, or of a service that is."""
    texts = {rule.text.partition(" ")[2].partition(_WITHIN)[0] for rule in policy.rules}
    waiting = {word for text in texts for word in text.split(" ")}
    waiting |= {word.text for text in _claimed(documents, ("service",)) for word in split_words(text)}
    parts: Mapping[str, set[str]] = {
        key.text: {word.text for text in _texts(value) for word in split_words(text)}
        for key, value in _entries(documents, "services")
    }
    used: set[str] = set()
    while waiting:
        used |= waiting
        waiting = {part for word in waiting for part in parts.get(word, ())} - used
    return used


def _claimed(documents: Documents, keys: tuple[str, ...]) -> Iterator[str]:
    """What tests and assertions have under these keys."""
    for section in ("tests", "assertions"):
        for node in sections(documents, section):
            for item in node.items if isinstance(node, Sequence) else (node,):
                yield from _under(item, keys)


def _under(node: Node, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, MappingNode):
        for key, value in node.entries:
            if key.text in keys:
                yield from _texts(value)
            else:
                yield from _under(value, keys)


def _entries(documents: Documents, section: str) -> Iterator[tuple[Scalar, Node]]:
    for node in sections(documents, section):
        if isinstance(node, MappingNode):
            yield from node.entries


def _texts(node: Node) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else (node,)
    return tuple(item.text for item in items if isinstance(item, Scalar))
