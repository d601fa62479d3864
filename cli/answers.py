"""Answers as text and JSON: one, or those about all services."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wardgate.cli import columns
from wardgate.cli.console import Console
from wardgate.runtime.layout import durations

if TYPE_CHECKING:
    from wardgate.cli.engines import Source
    from wardgate.compiler.explain.answer import Answer
    from wardgate.compiler.explain.engines import Engine
    from wardgate.compiler.explain.query import Query


def by_services(source: Source, engine: Engine, asked: Query) -> list[tuple[list[str], Answer]]:
    """An answer for each group of services that fare alike, with the group in words: what passes first, what
    no rule speaks of last."""
    return sorted(_answers(source, engine, asked), key=_openness)


def _answers(source: Source, engine: Engine, asked: Query) -> Iterator[tuple[list[str], Answer]]:
    """An answer for each group of services that fare alike, with the group in words."""
    from wardgate.compiler.explain import services
    from wardgate.compiler.explain.query import Query
    from wardgate.compiler.language import QueryError
    from wardgate.compiler.language.model import ICMP, ICMPV6

    spans = list(services.spans(source.classes(asked)))
    by_class: dict[int, Answer] = {}
    for span in spans:
        if span.number in by_class:
            continue
        try:
            query = Query.parse(
                asked.user,
                asked.address,
                services.representative(span),
                authed=asked.authed,
                login_age=asked.login_age,
                inbound=asked.packet.inbound,
            )
        except QueryError:
            # No packet is of this protocol (an IPv6 extension header); another of the class may be.
            continue
        by_class[span.number] = engine.answer(query)
    fates = {number: (a.verdict, a.reason, a.prefix, a.rule) for number, a in by_class.items()}
    examples = {fate: by_class[number] for number, fate in fates.items()}
    answered = ((span, fates[span.number]) for span in spans if span.number in fates)
    icmp = ICMP if asked.packet.remote.version == 4 else ICMPV6
    for fate, words in services.group(answered, icmp):
        yield words, examples[fate]


def _openness(found: tuple[list[str], Answer]) -> tuple[bool, int]:
    """What passes first, what no rule speaks of last."""
    answer = found[1]
    return answer.rule is None, answer.verdict.effective


def _subject(query: Query) -> str:
    direction = "from" if query.packet.inbound else "to"
    return f"{query.user} {direction} {query.address}"


def _fate(answer: Answer) -> str:
    return "pass" if answer.passes else f"drop: {answer.reason.label}"


def _rule(answer: Answer) -> str:
    rule = answer.rule
    return f'{rule.file}:{rule.line}:{rule.column} "{rule.text}"' if rule else "no rule"


def _login(query: Query) -> str:
    return "" if query.login_age is None else f", login {durations.words(query.login_age)} ago"


def show(console: Console, answer: Answer) -> None:
    """Print one answer."""
    if console.json:
        console.document(answer.to_json())
        return
    query = answer.query
    session = f"authorised{_login(query)}" if query.authed else "none"
    rows = [
        ("packet", f"{_subject(query)} {query.service}"),
        ("session", session),
        ("verdict", answer.verdict.label),
        ("fate", _fate(answer)),
        ("bucket", answer.prefix or "none: no rule is about this address"),
        ("rule", _rule(answer)),
    ]
    console.text(columns.align(rows, limit=10_000))


def show_all(console: Console, query: Query, found: list[tuple[list[str], Answer]]) -> None:
    """Print the answers about all services, in which `query`'s is of no account."""
    prefix = found[0][1].prefix
    if console.json:
        document: dict[str, Any] = {**query.to_json(), "prefix": prefix, "answers": []}
        del document["service"]
        for words, answer in found:
            fields = answer.to_json()
            kept = {name: fields[name] for name in ("verdict", "within", "pass", "reason", "rule")}
            document["answers"].append({"services": words, **kept})
        console.document(document)
        return
    session = f"session authorised{_login(query)}" if query.authed else "no session"
    console.text(f"{_subject(query)}, {session}, bucket {prefix or 'none'}")
    for words, answer in found:
        rule = f"; {_rule(answer)}" if answer.rule else ""
        console.text(f"\n{answer.verdict.label:<6} {_fate(answer)}{rule}")
        margin = " " * 7
        shown = textwrap.fill(
            " ".join(words), columns.width(), initial_indent=margin, subsequent_indent=margin
        )
        console.text(shown)
