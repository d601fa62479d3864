"""The policy language as a JSON Schema (draft 7, which editors know), from the tables that the parser uses.

What the schema refuses, the parser refuses too. The parser refuses more: a schema cannot know which names
there are, or whether a range of ports runs backwards. A scalar may be a number or a boolean for a YAML
reader and is a text for the language, so a text may be any of these here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wardgate.compiler.language.claims import (
    ASSERTION_KEYS,
    ASSERTION_REQUIRED,
    AUTHED,
    MEMBERSHIPS,
    TEST_KEYS,
    TEST_REQUIRED,
)
from wardgate.compiler.language.load import VERSION
from wardgate.compiler.language.model import EVERYONE, GROUP_MARK, Action, AssertionKind
from wardgate.compiler.language.names import NAME_PATTERN, SERVICE_WORDS, WITHIN
from wardgate.compiler.language.services import PROTOCOL_NAMES
from wardgate.compiler.language.top_level import KEYS

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
TITLE = "Wardgate policy"

_SPACE = r"[ \t\r\n]"
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NUMBER = r"(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_PROTOCOLS = "|".join(PROTOCOL_NAMES)
_NAMED = rf"(?!{WITHIN}(?:{_SPACE}|$)){NAME_PATTERN}"
_SERVICE = rf"(?:{_PORT}(?:-{_PORT})?/(?:{_PROTOCOLS}|any)|{_PROTOCOLS}|icmp|proto/{_NUMBER}|{_NAMED})"
_DURATION = r"(?=[0-9])(?:[0-9]{1,9}d)?(?:[0-9]{1,9}h)?(?:[0-9]{1,9}m)?(?:[0-9]{1,9}s)?"
# An address, a prefix, a name from `hosts` or a DNS name; which of them, only the parser can say.
_DESTINATION = r"[A-Za-z0-9_:][A-Za-z0-9._@+:-]*(?:/[0-9]{1,3})?"
_LABEL = rf"(?=.*[A-Za-z])(?!(?:{'|'.join(sorted(SERVICE_WORDS))})$){NAME_PATTERN}"
_SUBJECT = rf"(?:\{EVERYONE}|(?:{GROUP_MARK})?{NAME_PATTERN})"

_TOP_LEVEL = {
    "version": f"The version of the language: {VERSION}. The main file has it, and an included one may.",
    "include": "Files to read too: names or globs, relative to this file.",
    "tunnel": "The prefixes from which devices get their addresses. Only the main file has them.",
    "groups": "Groups of users, as in `group:admins: [alice, bob]`.",
    "hosts": 'Names for destinations, as in `lab: [10.1.0.0/16, "fd00:1::/48"]`.',
    "services": "Names for services, as in `web: [80/tcp, 443/tcp]`.",
    "policies": 'What devices may send: rules by subject, which is `"*"` (everyone), a group or a user.',
    "inbound": "Who may speak to a device first: rules by subject. A destination is the sender here.",
    "tests": "Single packets, and the verdict that each must get.",
    "assertions": "What must hold for whole sets of packets.",
}
_ACTIONS = {
    Action.ALLOW: "Packets that match pass, unless an `mfa` or `deny` rule for the same prefix matches.",
    Action.MFA: (
        "Packets that match pass while the device's session is authorised, and its last login as recent as "
        "the rule asks, unless a `deny` matches."
    ),
    Action.DENY: "Packets that match are dropped, whatever other rules for the same prefix say.",
}
_KINDS = {
    AssertionKind.NEVER: "No such packet passes.",
    AssertionKind.ALWAYS: "Every such packet passes.",
    AssertionKind.ONLY: "No such packet passes for anyone else.",
}
_FIELDS = {
    "as": 'Whose packets: a user; in an assertion also a group, or `"*"` for everyone.',
    "to": "Where a device sends to: an address or a host's name; in an assertion also prefixes, or a list.",
    "from": "Who sends to a device: an address or a host's name; in an assertion also prefixes, or a list.",
    "service": "By which service, as in `443/tcp`; an assertion takes a list, and every service without one.",
    "expect": "The verdict, whatever the session: `allow`, `mfa` or `deny`.",
    "authed": "Claim it only of devices whose session is authorised (true), or isn't (false).",
    "membership": "Of users in the groups that they are in (`present`), or in `any` groups.",
}
_RULE = (
    "A rule: `DESTINATION [SERVICE...]`. DESTINATION is an address, a prefix, a name from `hosts` or a DNS "
    "name; SERVICE is `443/tcp`, `8000-8100/udp`, `53/any`, `tcp`, `icmp`, `proto/47` or a name from "
    "`services`. Without a service it is about every packet."
)
_MFA_RULE = (
    f"{_RULE} `{WITHIN} DURATION` at the end, as in `lab 22/tcp {WITHIN} 15m`: the last login must be that "
    "recent. DURATION is `30s`, `15m`, `2h`, `1d` or `1h30m`."
)


def policy_schema() -> Schema:
    """The schema of a policy file, as a document."""
    sections = {
        "version": {"type": "integer", "const": int(VERSION)},
        "include": _ref("texts"),
        "tunnel": _ref("texts"),
        "groups": _named(rf"{GROUP_MARK}{NAME_PATTERN}", _texts(NAME_PATTERN)),
        "hosts": _named(_LABEL, _texts(_DESTINATION, least=1)),
        "services": _named(_LABEL, _texts(_words(_SERVICE), least=1)),
        "policies": _ref("rules"),
        "inbound": _ref("rules"),
        "tests": {"type": "array", "items": _ref("test")},
        "assertions": {"type": "array", "items": _ref("assertion")},
    }
    words = rf"{_SPACE}*(?!{WITHIN}(?:{_SPACE}|$)){_DESTINATION}(?:{_SPACE}+{_SERVICE})*"
    within = rf"(?:{_SPACE}+{WITHIN}{_SPACE}+{_DURATION})?"
    return {
        "$schema": DRAFT,
        "title": TITLE,
        "description": "Who may reach what over a VPN. `wardgate check` shows what a schema cannot see.",
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _described(_TOP_LEVEL[key], sections[key]) for key in KEYS},
        "definitions": {
            "text": _text(r"[^ \t\r\n]"),
            "texts": _listed(_ref("text")),
            "rule": {"description": _RULE, **_text(rf"^{words}{_SPACE}*$")},
            "mfa_rule": {"description": _MFA_RULE, **_text(rf"^{words}{within}{_SPACE}*$")},
            "rules": _named(_SUBJECT, _policy()),
            "test": _test(),
            "assertion": _assertion(),
        },
    }


def _policy() -> Schema:
    forms = {action: "mfa_rule" if action is Action.MFA else "rule" for action in Action}
    properties = {
        action.value: {"description": _ACTIONS[action], **_listed(_ref(form))}
        for action, form in forms.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _test() -> Schema:
    fields = {
        "as": _text(rf"^{NAME_PATTERN}$"),
        "to": _ref("text"),
        "from": _ref("text"),
        "service": _ref("text"),
        "expect": {"enum": [action.value for action in Action]},
    }
    return _fields(TEST_KEYS, TEST_REQUIRED, fields)


def _assertion() -> Schema:
    fields = {
        "as": _text(rf"^{_SUBJECT}$"),
        "to": _texts(_DESTINATION, least=1),
        "from": _texts(_DESTINATION, least=1),
        "service": _texts(_words(_SERVICE), least=1),
        "authed": {"enum": [*AUTHED.values(), *AUTHED]},
        "membership": {"enum": [*MEMBERSHIPS]},
    }
    claim = _fields(ASSERTION_KEYS, ASSERTION_REQUIRED, fields)
    return {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {kind.value: {"description": _KINDS[kind], **claim} for kind in AssertionKind},
    }


def _fields(keys: Sequence[str], required: Sequence[str], fields: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _described(_FIELDS[key], fields[key]) for key in keys},
        "required": list(required),
        "oneOf": [{"required": ["to"]}, {"required": ["from"]}],
    }


def _named(pattern: str, value: Schema) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": rf"^{pattern}$"},
        "additionalProperties": value,
    }


def _texts(pattern: str, *, least: int = 0) -> Schema:
    return _listed(_text(rf"^{pattern}$"), least=least)


def _words(pattern: str) -> str:
    """One word or several."""
    return rf"{_SPACE}*{pattern}(?:{_SPACE}+{pattern})*{_SPACE}*"


def _listed(item: Schema, *, least: int = 0) -> Schema:
    """A list, or one value that stands for a list of one."""
    many: Schema = {"type": "array", "items": item}
    if least:
        many["minItems"] = least
    return {"anyOf": [item, many]}


def _text(pattern: str) -> Schema:
    return {"type": ["string", "number", "boolean"], "pattern": pattern}


def _described(text: str, schema: Schema) -> Schema:
    # What stands beside a reference is not looked at in draft 7.
    return {"description": text, **({"allOf": [schema]} if "$ref" in schema else schema)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
