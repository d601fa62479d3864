"""The sections that say what a policy must come to: `tests` and `assertions`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wardgate.compiler.language import schema
from wardgate.compiler.language.definitions import (
    Definitions,
    check_subject,
    check_user,
    sections,
)
from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.includes import Documents
from wardgate.compiler.language.model import (
    EVERYONE,
    GROUP_MARK,
    Action,
    Address,
    Assertion,
    AssertionKind,
    Everything,
    Packet,
    PolicyTest,
    Prefix,
    ServiceForm,
)
from wardgate.compiler.language.names import Vocabulary, quoted
from wardgate.compiler.language.nodes import Mapping, Node, Scalar, Sequence
from wardgate.compiler.language.query import concrete_form, concrete_service
from wardgate.compiler.language.rules import WordReader
from wardgate.compiler.language.schema import Shape
from wardgate.compiler.language.services import service_label
from wardgate.compiler.language.words import Reading, Word, WordError, report_flaws, split_words

_TEST = Shape("a test", "{as: alice, to: 10.0.0.5, service: 443/tcp, expect: allow}")
_TEST_SERVICE = Shape("a test's service", _TEST.example)
TEST_KEYS = ("as", "to", "from", "service", "expect")
TEST_REQUIRED = ("as", "service", "expect")
ASSERTION = Shape("an assertion", "never: {as: group:contractors, to: 10.1.0.0/16, service: 22/tcp}")
ASSERTION_KEYS = ("as", "to", "from", "service", "authed", "membership")
ASSERTION_REQUIRED = ("as",)
AUTHED = {"true": True, "false": False}
MEMBERSHIPS = {"present": False, "any": True}
_KINDS = {kind.value: kind for kind in AssertionKind}
_ACTIONS = {action.value: action for action in Action}

_Entries = dict[str, tuple[Scalar, Node]]


@dataclass(frozen=True, slots=True)
class ClaimReader:
    """Reads tests and assertions. `users` are those whom groups and rules name; `user_names` the same,
    to suggest."""

    definitions: Definitions
    users: frozenset[str]
    user_names: Vocabulary
    words: WordReader
    report: Report

    def tests(self, documents: Documents) -> Iterator[PolicyTest]:
        """The tests that are right, in source order."""
        for section in sections(documents, "tests"):
            for node in schema.items(self.report, section, _TEST):
                test = self._test(node)
                if test is not None:
                    yield test

    def assertions(self, documents: Documents) -> Iterator[Assertion]:
        """The assertions that are right, in source order."""
        for section in sections(documents, "assertions"):
            for node in schema.items(self.report, section, ASSERTION):
                assertion = self.assertion(node)
                if assertion is not None:
                    yield assertion

    def _test(self, node: Node) -> PolicyTest | None:
        found = schema.keyed(self.report, node, _TEST, TEST_KEYS, TEST_REQUIRED)
        if found is None:
            return None
        user = self._text(found["as"][1], _TEST)
        if user is not None and check_user(user, self.definitions.groups, self.report):
            self._warn_if_unknown(user)
        remote, written = self._one_address(node, found)
        service = self._concrete(found["service"][1], remote)
        expect = schema.choice(self.report, found["expect"][1], _TEST, _ACTIONS)
        if user is None or remote is None or service is None or expect is None:
            return None
        inbound = "from" in found
        text = _canonical(
            {
                "as": user.text,
                "from" if inbound else "to": written,
                "service": service_label(*service, remote.version),
                "expect": expect.value,
            }
        )
        packet = Packet(remote, *service, inbound)
        return PolicyTest(user.text, packet, expect, node.position, text)

    def assertion(self, node: Node) -> Assertion | None:
        """The assertion that `node` is; None where it is none, which is reported."""
        if not isinstance(node, Mapping):
            schema.wrong_type(self.report, node, ASSERTION, "a mapping")
            return None
        known = [(key, value) for key, value in node.entries if key.text in _KINDS]
        for key, _ in node.entries:
            if key.text not in _KINDS:
                schema.unknown_key(self.report, key, ASSERTION, _KINDS)
        if len(known) != 1:
            if len(known) == len(node.entries):
                self.report.error(
                    Code.CLAIM,
                    node.position,
                    f"an assertion makes one claim, this makes {len(known)}",
                    f"write each as an entry of its own, as in: {ASSERTION.example}",
                )
            return None
        ((key, value),) = known
        return self._claim(_KINDS[key.text], key, value)

    def _claim(self, kind: AssertionKind, key: Scalar, node: Node) -> Assertion | None:
        found = schema.keyed(self.report, node, ASSERTION, ASSERTION_KEYS, ASSERTION_REQUIRED)
        if found is None:
            return None
        subject = self._text(found["as"][1], ASSERTION)
        any_membership = (
            schema.choice(self.report, found["membership"][1], ASSERTION, MEMBERSHIPS)
            if "membership" in found
            else False
        )
        if subject is not None:
            self._check_claimant(kind, subject, any_membership=bool(any_membership))
        side = self._side(node, found)
        places = self._places(found[side][1]) if side else None
        services = self._services(found["service"][1]) if "service" in found else ((Everything(),), "")
        authed = (
            schema.choice(self.report, found["authed"][1], ASSERTION, AUTHED) if "authed" in found else None
        )
        if subject is None or side is None or places is None or services is None or any_membership is None:
            return None
        fields = {"as": subject.text, side: places[1], "service": services[1]}
        if authed is not None:
            fields["authed"] = "true" if authed else "false"
        if any_membership:
            fields["membership"] = "any"
        text = f"{kind.value}: {_canonical({name: value for name, value in fields.items() if value})}"
        return Assertion(
            kind,
            subject.text,
            places[0],
            services[0],
            authed,
            side == "from",
            key.position,
            text,
            any_membership,
        )

    def _check_claimant(self, kind: AssertionKind, subject: Scalar, *, any_membership: bool) -> None:
        if not check_subject(subject, self.definitions, self.report):
            return
        if subject.text == EVERYONE:
            if kind is AssertionKind.ONLY:
                self.report.error(
                    Code.CLAIM,
                    subject.position,
                    "`only` with everyone leaves nobody to be kept out",
                    "name the group or the user who alone may pass",
                    length=subject.length,
                )
        elif not subject.text.startswith(GROUP_MARK):
            self._warn_if_unknown(subject)
        elif (
            not self.definitions.groups[subject.text]
            and kind is not AssertionKind.ONLY
            and not any_membership
        ):
            self.report.warning(
                Code.CLAIM,
                subject.position,
                f"{subject.text} has no members, so this claims nothing",
                "add members to the group, or claim it of everyone",
                length=subject.length,
            )

    def _warn_if_unknown(self, user: Scalar) -> None:
        if user.text in self.users or not self.definitions.complete:
            return
        suggestion = self.user_names.did_you_mean(user.text)
        self.report.warning(
            Code.UNKNOWN_USER,
            user.position,
            f'no group or rule names {quoted(user.text)}, who has what "*" has',
            suggestion or "add the user to a group, if that is not meant",
            length=user.length,
        )

    def _side(self, node: Node, found: _Entries) -> str | None:
        """`to` or `from`, whichever is there; reports both and neither."""
        sides = [side for side in ("to", "from") if side in found]
        if len(sides) == 1:
            return sides[0]
        if sides:
            key = found["from"][0]
            self.report.error(
                Code.CLAIM,
                key.position,
                "`to` and `from` exclude each other",
                "`to`: what a device sends; `from`: what is sent to it",
                length=key.length,
            )
        else:
            self.report.error(
                Code.MISSING_KEY,
                node.position,
                "`to` (or `from`, for what is sent to a device) is missing",
                "everywhere is [0.0.0.0/0, ::/0]",
            )
        return None

    def _one_address(self, node: Node, found: _Entries) -> tuple[Address | None, str]:
        """The remote address of a test, and how it is written."""
        side = self._side(node, found)
        scalar = self._text(found[side][1], _TEST) if side else None
        if scalar is None:
            return None, ""
        prefixes = self.words.destination(scalar, Word(scalar.text, 0))
        if len(prefixes) == 1 and prefixes[0].prefixlen == prefixes[0].max_prefixlen:
            return prefixes[0].network_address, scalar.text
        if prefixes:
            self.report.error(
                Code.CLAIM,
                scalar.position,
                f"{quoted(scalar.text)} is more than one address",
                "a test asks about one packet; name one address, or write an assertion",
                length=scalar.length,
            )
        return None, ""

    def _concrete(self, node: Node, remote: Address | None) -> tuple[int, int | None] | None:
        scalar = self._text(node, _TEST_SERVICE)
        if scalar is None:
            return None
        word, version = Word(scalar.text, 0), remote.version if remote is not None else 4
        try:
            return _one_of(self.definitions.services.get(word.text), word.text, version)
        except WordError as error:
            reading: Reading[None] = Reading(None, (error.flaw,))
            report_flaws(self.report, scalar, word, reading)
            return None

    def _places(self, node: Node) -> tuple[tuple[Prefix, ...], str] | None:
        scalars = list(schema.texts(self.report, node, ASSERTION))
        prefixes = [self.words.destination(scalar, Word(scalar.text, 0)) for scalar in scalars]
        self._refuse_empty(node)
        merged = tuple(dict.fromkeys(prefix for found in prefixes for prefix in found))
        return (merged, _listed(scalars)) if merged else None

    def _services(self, node: Node) -> tuple[tuple[ServiceForm, ...], str] | None:
        scalars = list(schema.texts(self.report, node, ASSERTION))
        forms = [self.words.services(scalar, split_words(scalar.text)) for scalar in scalars]
        self._refuse_empty(node)
        merged = tuple(dict.fromkeys(form for found in forms for form in found))
        return (merged, _listed(scalars)) if merged else None

    def _refuse_empty(self, node: Node) -> None:
        if isinstance(node, Sequence) and not node.items:
            self.report.error(
                Code.EMPTY,
                node.position,
                "an empty list covers no packet, so the assertion would claim nothing",
                "leave `service` out for every service; everywhere is [0.0.0.0/0, ::/0]",
            )

    def _text(self, node: Node, shape: Shape) -> Scalar | None:
        return schema.text(self.report, node, shape)


def _one_of(named: tuple[ServiceForm, ...] | None, word: str, version: int) -> tuple[int, int | None]:
    """Protocol and port of `word`; `named` is what it means if it is a name from `services`."""
    if named is None:
        return concrete_service(word, version)
    return concrete_form(named[0] if len(named) == 1 else Everything(), word, version)


def _canonical(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"


def _listed(scalars: list[Scalar]) -> str:
    texts = [" ".join(word.text for word in split_words(scalar.text)) for scalar in scalars]
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
