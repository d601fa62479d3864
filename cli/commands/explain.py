"""`wardgate explain`: what happens to a packet, and which line of the policy says so."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from wardgate.cli import columns, options
from wardgate.cli.console import Console, dumps
from wardgate.cli.engines import ENGINES, Source, opened, read_source
from wardgate.cli.failures import USAGE, CommandError
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler.explain.answer import Answer
    from wardgate.compiler.explain.engines import Engine
    from wardgate.compiler.explain.query import Query
    from wardgate.compiler.language import Resolver


@click.command("explain")
@click.argument("source", metavar="POLICY|ARTEFACT", type=options.FILE)
@click.option("--as", "user", metavar="USER", help="Whose device it is about.")
@click.option("--to", metavar="ADDRESS", help="Where the device sends the packet.")
@click.option("--from", "sender", metavar="ADDRESS", help="Who sends the packet to the device.")
@click.option("--service", metavar="SERVICE", help="Such as 443/tcp or icmp; without it, all are shown.")
@click.option("--authed", is_flag=True, help="While the device's session is authorised.")
@click.option(
    "--batch", metavar="FILE|-", type=click.File("r", encoding="utf-8", lazy=True),
    help="Answer the queries of a JSON Lines file, one JSON answer a line.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(ENGINES),
    help="reference: the definition; vm: the artefact in an interpreter; kernel: the loaded artefact.",
)  # fmt: skip
@resolve_option
@options.common
@options.pass_console
def explain_command(
    console: Console,
    source: Path,
    user: str | None,
    to: str | None,
    sender: str | None,
    service: str | None,
    authed: bool,
    batch: TextIO | None,
    engine: str | None,
    resolver: Resolver,
) -> None:
    """Say what happens to a packet, and which line of the policy decides.

    One question with --as and --to (or --from), or many with --batch.
    """
    console.stream = batch is not None
    if batch and (user or to or sender or service or authed):
        raise click.UsageError("--batch has the questions in its file; give no other")
    if not batch and (not user or not (to or sender)):
        raise click.UsageError(
            "ask with --as USER and --to ADDRESS (or --from ADDRESS), or with --batch FILE"
        )
    if to and sender:
        raise click.UsageError("--to and --from exclude each other")
    asked = read_source(source, resolver)
    with opened(asked, engine or asked.default_engine, resolver) as answering:
        if batch:
            _answer_batch(answering, batch)
            return
        from wardgate.compiler.explain.query import Query

        words = (user or "", to or sender or "")
        try:
            if service:
                query = Query.parse(*words, service, authed=authed, inbound=bool(sender))
                _show_answer(console, answering.answer(query))
            else:
                query = Query.parse(*words, authed=authed, inbound=bool(sender))
                found = sorted(_answers(asked, answering, query), key=_openness)
                _show_all(console, query, found)
        except ValueError as error:
            raise _bad_query(error) from None


def _bad_query(error: ValueError) -> Exception:
    """A question that can't be asked is a usage error; any other ValueError is none of ours."""
    from wardgate.compiler.language import QueryError

    return CommandError(str(error), status=USAGE) if isinstance(error, QueryError) else error


def _answer_batch(engine: Engine, batch: TextIO) -> None:
    from wardgate.compiler.explain.query import read_batch

    # Who writes questions to a pipe may wait for each answer before asking the next.
    flush = batch.name in ("-", "<stdin>")
    name = "<stdin>" if flush else batch.name
    try:
        for query in read_batch(batch, name):
            sys.stdout.write(dumps(engine.answer(query).to_json()) + "\n")
            if flush:
                sys.stdout.flush()
    except UnicodeDecodeError:
        raise CommandError(f"{name}: not UTF-8", status=USAGE) from None
    except ValueError as error:
        raise _bad_query(error) from None


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


def _show_answer(console: Console, answer: Answer) -> None:
    if console.json:
        console.document(answer.to_json())
        return
    query = answer.query
    session = "authorised" if query.authed else "none"
    rows = [
        ("packet", f"{_subject(query)} {query.service}"),
        ("session", session),
        ("verdict", answer.verdict.label),
        ("fate", _fate(answer)),
        ("bucket", answer.prefix or "none: no rule is about this address"),
        ("rule", _rule(answer)),
    ]
    console.text(columns.align(rows, limit=10_000))


def _show_all(console: Console, query: Query, found: list[tuple[list[str], Answer]]) -> None:
    prefix = found[0][1].prefix
    if console.json:
        document: dict[str, Any] = {**query.to_json(), "prefix": prefix, "answers": []}
        del document["service"]
        for words, answer in found:
            fields = answer.to_json()
            kept = {name: fields[name] for name in ("verdict", "pass", "reason", "rule")}
            document["answers"].append({"services": words, **kept})
        console.document(document)
        return
    session = "session authorised" if query.authed else "no session"
    console.text(f"{_subject(query)}, {session}, bucket {prefix or 'none'}")
    for words, answer in found:
        rule = f"; {_rule(answer)}" if answer.rule else ""
        console.text(f"\n{answer.verdict.label:<6} {_fate(answer)}{rule}")
        margin = " " * 7
        shown = textwrap.fill(
            " ".join(words), columns.width(), initial_indent=margin, subsequent_indent=margin
        )
        console.text(shown)
