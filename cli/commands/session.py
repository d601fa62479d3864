"""`wardgate session`: who may use what needs a login, until when."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import columns, options
from wardgate.cli.console import Console
from wardgate.cli.gates import open_gate
from wardgate.cli.lazily import Group
from wardgate.runtime.layout import durations

if TYPE_CHECKING:
    from wardgate.runtime.sessions import Session

_NS = 1_000_000_000


@click.group("session", cls=Group)
def session_command() -> None:
    """Grant, extend, revoke and list the sessions of a gate's devices."""


def _address(function: options.F) -> options.F:
    return click.argument("address", metavar="ADDRESS", callback=options.as_address)(function)


@session_command.command("grant")
@_address
@click.option(
    "--for", "seconds", metavar="DURATION", required=True, callback=options.as_duration,
    help="How long the session lasts: 30s, 10m, 2h, 1d, 1h30m.",
)  # fmt: skip
@click.option(
    "--idle", metavar="DURATION", callback=options.as_duration,
    help="End it earlier when the device sends nothing that needs it for this long.",
)  # fmt: skip
@options.gate_name
@options.common
@options.pass_console
def grant_command(
    console: Console, address: IPv4Address | IPv6Address, seconds: int, idle: int | None, name: str | None
) -> None:
    """Authorise the device that has ADDRESS, after a login; the session is for all its addresses."""
    gate = open_gate(name)
    session = gate.sessions.grant(address, seconds, idle)
    if console.json:
        console.document(_document(session))
    console.text(f"granted: {_who(session)} for {durations.show(seconds * _NS)}")


@session_command.command("extend")
@_address
@click.option(
    "--for", "seconds", metavar="DURATION", required=True, callback=options.as_duration,
    help="How long the session lasts from now, at least: 30s, 10m, 2h, 1d, 1h30m.",
)  # fmt: skip
@options.gate_name
@options.common
@options.pass_console
def extend_command(
    console: Console, address: IPv4Address | IPv6Address, seconds: int, name: str | None
) -> None:
    """Prolong the session of the device that has ADDRESS, without a login."""
    gate = open_gate(name)
    session = gate.sessions.extend(address, seconds)
    if console.json:
        console.document(_document(session))
    console.text(f"extended: {_who(session)}, {_remaining(session)} left")


@session_command.command("revoke")
@_address
@options.gate_name
@options.common
@options.pass_console
def revoke_command(console: Console, address: IPv4Address | IPv6Address, name: str | None) -> None:
    """End the session of the device that has ADDRESS, at once."""
    gate = open_gate(name)
    session = gate.sessions.revoke(address)
    if console.json:
        console.document(_document(session))
    console.text(f"revoked: {_who(session)}")


@session_command.command("list")
@options.gate_name
@options.common
@options.pass_console
def list_command(console: Console, name: str | None) -> None:
    """Show each device and its session."""
    gate = open_gate(name)
    sessions = gate.sessions.list()
    if console.json:
        console.document([_document(session) for session in sessions])
        return
    if not sessions:
        console.text("the gate has no devices")
        return
    rows = [
        (
            session.user,
            session.state.value,
            _remaining(session),
            _idle(session),
            _login(session),
            _addresses(session),
        )
        for session in sessions
    ]
    console.text(columns.align(rows, ("user", "session", "left", "idle limit", "login", "addresses")))


def _addresses(session: Session) -> str:
    return " ".join(map(str, session.addresses))


def _who(session: Session) -> str:
    return f"{session.user} ({_addresses(session)})"


def _remaining(session: Session) -> str:
    return durations.show(int(session.remaining * _NS)) if session.remaining else "-"


def _idle(session: Session) -> str:
    return durations.show(int(session.idle_limit * _NS)) if session.idle_limit else "-"


def _login(session: Session) -> str:
    if session.login_age is None:
        return "-"
    return f"{durations.show(int(session.login_age * _NS))} ago"


def _document(session: Session) -> dict[str, Any]:
    return {
        "user": session.user,
        "addresses": [str(address) for address in session.addresses],
        "state": session.state.value,
        "remaining": round(session.remaining, 3),
        "idle_limit": session.idle_limit,
        "login_age": None if session.login_age is None else round(session.login_age, 3),
    }
