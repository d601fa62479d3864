"""`wardgate explain`: what happens to a packet, and which line of the policy says so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click
from wardgate.cli import answers, options, packets
from wardgate.cli.console import Console, dumps
from wardgate.cli.engines import ENGINES, Source, opened, read_source, tunnel_of
from wardgate.cli.failures import SYSTEM_REFUSED, USAGE, CommandError
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
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
    "--login-age", metavar="DURATION", callback=options.as_duration,
    help="With --authed, how long ago the last login was; without it, a moment ago.",
)  # fmt: skip
@click.option(
    "--batch", metavar="FILE|-", type=click.File("r", encoding="utf-8", lazy=True),
    help="Answer the queries of a JSON Lines file, one JSON answer a line.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(ENGINES),
    help="reference: the definition; vm: the artefact in an interpreter; kernel: the loaded artefact.",
)  # fmt: skip
@click.option("--packet", "packet", metavar="HEX", help="Judge this packet: IP, or an Ethernet frame.")
@click.option(
    "--link", type=click.Choice(["ip", "ethernet"]), help="What --packet begins with, if that is not clear.",
)  # fmt: skip
@click.option(
    "--pcap", metavar="FILE|-", type=click.File("rb", lazy=True),
    help="Judge each packet of a capture, pcap or pcapng, one after the other.",
)  # fmt: skip
@click.option(
    "--devices", "devices_file", metavar="FILE", type=options.FILE,
    help="Whose the packets are, as for run; or --as for all of the tunnel.",
)  # fmt: skip
@click.option(
    "--trace", is_flag=True,
    help="Follow the packet: whose rules, which prefix, each rule, the program's way, every engine.",
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
    login_age: int | None,
    batch: TextIO | None,
    engine: str | None,
    packet: str | None,
    link: str | None,
    pcap: BinaryIO | None,
    devices_file: Path | None,
    trace: bool,
    resolver: Resolver,
) -> int:
    """Say what happens to a packet, and which line of the policy decides.

    One question with --as and --to (or --from), many with --batch, or packets themselves with --packet and
    --pcap.
    """
    console.stream = batch is not None or pcap is not None
    if packet is not None or pcap is not None:
        if login_age is not None:
            raise click.UsageError("--login-age is about a question; sessions of packets just logged in")
        if (packet is not None and pcap is not None) or batch or to or sender or service or trace:
            raise click.UsageError("packets say themselves where they go: give --packet or --pcap alone")
        if (user is None) == (devices_file is None):
            raise click.UsageError(
                "say whose the packets are: --devices FILE, or --as USER for the whole tunnel"
            )
        if link and packet is None:
            raise click.UsageError("--link is about --packet; a capture says what its packets begin with")
        asked = read_source(source, resolver)
        name = engine or asked.default_engine
        _judge(console, asked, name, resolver, packet, link, pcap, user, devices_file, authed=authed)
        return 0
    if devices_file or link:
        raise click.UsageError("--devices and --link are about --packet and --pcap")
    if batch and (user or to or sender or service or authed or login_age or trace):
        raise click.UsageError("--batch has the questions in its file; give no other")
    if not batch and (not user or not (to or sender)):
        raise click.UsageError(
            "ask with --as USER and --to ADDRESS (or --from ADDRESS), or with --batch FILE"
        )
    if login_age and not authed:
        raise click.UsageError("--login-age is the age of a session's login; give --authed too")
    if to and sender:
        raise click.UsageError("--to and --from exclude each other")
    if trace and not service:
        raise click.UsageError("--trace follows one packet: say which with --service")
    if trace and engine:
        raise click.UsageError("--trace asks every engine; leave --engine out")
    asked = read_source(source, resolver)
    words = (user or "", to or sender or "")
    try:
        if trace:
            from wardgate.compiler.explain.query import Query

            query = Query.parse(
                *words, service or "", authed=authed, login_age=login_age, inbound=bool(sender)
            )
            return _show_trace(console, asked, query, resolver)
        with opened(asked, engine or asked.default_engine, resolver) as answering:
            if batch:
                _answer_batch(answering, batch)
            else:
                _answer(
                    console, asked, answering, words, service,
                    authed=authed, login_age=login_age, inbound=bool(sender),
                )  # fmt: skip
    except ValueError as error:
        raise _bad_query(error) from None
    return 0


def _judge(
    console: Console,
    asked: Source,
    engine: str,
    resolver: Resolver,
    packet: str | None,
    link: str | None,
    pcap: BinaryIO | None,
    user: str | None,
    devices_file: Path | None,
    *,
    authed: bool,
) -> None:
    """Judge a packet, or those of a capture."""
    from wardgate.compiler.explain.frames import FrameError, parse_hex
    from wardgate.runtime.layout.codes import LinkHeader

    try:
        devices, count = packets.devices_of(user, devices_file, tunnel_of(asked))
    except ValueError as error:
        raise _bad_query(error) from None
    begins = {"ip": LinkHeader.NONE, "ethernet": LinkHeader.ETHERNET}
    try:
        frame = parse_hex(packet, begins.get(link or "")) if packet is not None else None
    except FrameError as error:
        raise CommandError(f"--packet: {error}", status=USAGE) from None
    with packets.opened_judge(asked, engine, resolver, authed=authed, devices=count) as judge:
        if frame is not None:
            packets.show_packet(console, judge, frame, devices)
        elif pcap is not None:
            packets.show_capture(console, judge, pcap, devices)


def _answer(
    console: Console,
    asked: Source,
    answering: Engine,
    words: tuple[str, str],
    service: str | None,
    *,
    authed: bool,
    login_age: int | None,
    inbound: bool,
) -> None:
    from wardgate.compiler.explain.query import Query

    if service:
        query = Query.parse(*words, service, authed=authed, login_age=login_age, inbound=inbound)
        answers.show(console, answering.answer(query))
        return
    query = Query.parse(*words, authed=authed, login_age=login_age, inbound=inbound)
    answers.show_all(console, query, answers.by_services(asked, answering, query))


def _show_trace(console: Console, asked: Source, query: Query, resolver: Resolver) -> int:
    """Exit status 3 where the engines disagree, which is a fault of ours."""
    from wardgate.cli import tracing

    followed = tracing.make(asked, query, resolver)
    answer = followed.answers[asked.default_engine]
    if console.json:
        console.document({**answer.to_json(), "trace": followed.to_json()})
    else:
        answers.show(console, answer)
        console.text("")
        for line in tracing.lines(followed, query, verbose=console.verbose):
            console.text(line)
    return 0 if followed.agree else SYSTEM_REFUSED


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
