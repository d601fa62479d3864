"""What `diff` says, as plain data for programs."""

from __future__ import annotations

from typing import Any

from wardgate.compiler.analysis.areas import Area
from wardgate.compiler.analysis.levels import verdict_label, within_of
from wardgate.compiler.analysis.people import Kind, People, Term
from wardgate.compiler.analysis.service_space import Services
from wardgate.compiler.analysis.statements import Difference, Statement, Witness
from wardgate.compiler.analysis.view import Decided
from wardgate.compiler.language.services import service_label
from wardgate.runtime.layout.manifest import RuleSource


def difference_document(found: Difference) -> dict[str, Any]:
    """A difference; docs/json.md describes it."""
    compared = found.compared
    return {
        "old": found.old,
        "new": found.new,
        "same": not found.statements,
        "widens": found.widens,
        "memberships": [
            {"group": one.group, "joined": list(one.joined), "left": list(one.left)}
            for one in found.memberships
        ],
        "statements": [_statement(statement) for statement in found.statements],
        "compared": {
            "classes": compared.classes,
            "directions": compared.directions,
            "destination_intervals": compared.addresses,
            "service_intervals": compared.services,
            "verdicts": compared.verdicts,
        },
    }


def _statement(statement: Statement) -> dict[str, Any]:
    change = statement.change
    return {
        "widens": change.widens,
        "before": verdict_label(change.before),
        "after": verdict_label(change.after),
        "within_before": within_of(change.before),
        "within_after": within_of(change.after),
        "direction": "from" if statement.inbound else "to",
        "as": _people(statement.people),
        "users": statement.users,
        "prefixes": [_area(area) for area in statement.areas],
        "services": _services(statement.services),
        "witness": _witness(statement.witness),
        "old_rules": [rule_document(rule) for rule in statement.old_rules],
        "new_rules": [rule_document(rule) for rule in statement.new_rules],
    }


def _people(people: People) -> dict[str, Any]:
    return {
        "all_of" if people.both else "any_of": [_term(term) for term in people.terms],
        "except": [_term(term) for term in people.excepting],
    }


def _term(term: Term) -> dict[str, Any]:
    named = term.kind not in (Kind.EVERYBODY, Kind.UNNAMED)
    return {term.kind.value: term.name if named else True}


def _area(area: Area) -> dict[str, Any]:
    return {"prefix": str(area.prefix), "except": [str(inner) for inner in area.excepting]}


def _services(services: Services) -> dict[str, Any]:
    return {"all_but" if services.everything else "any_of": services.words}


def _witness(witness: Witness) -> dict[str, Any]:
    packet = witness.packet
    return {
        "as": witness.user,
        "from" if packet.inbound else "to": str(packet.remote),
        "service": service_label(packet.protocol, packet.port, packet.remote.version),
        "before": _decided(witness.before),
        "after": _decided(witness.after),
    }


def _decided(decided: Decided) -> dict[str, Any]:
    return {
        "verdict": decided.label,
        "prefix": decided.prefix,
        "rule": None if decided.rule is None else rule_document(decided.rule),
        "bucket": [rule_document(rule) for rule in decided.bucket],
    }


def rule_document(rule: RuleSource) -> dict[str, Any]:
    """A rule and its place."""
    return {"file": rule.file, "line": rule.line, "column": rule.column, "text": rule.text}
