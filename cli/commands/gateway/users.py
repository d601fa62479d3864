"""`wardgate gateway users`: who may have devices, and be in which groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.lazily import Group

_NAME = click.argument("name", metavar="USER")
_GROUP = click.argument("group", metavar="GROUP")


@click.group("users", cls=Group)
def users_command() -> None:
    """Add, list, lock and remove users, and say which groups they are in.

    Groups are written as in the policy: group:NAME. Memberships that the policy's text gives are changed
    there.
    """


@users_command.command("add")
@_NAME
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="Make the user a member of it.")
@gateway
@options.common
@options.pass_console
def add_command(console: Console, gateway: Client, name: str, groups: tuple[str, ...]) -> None:
    """Add a user."""
    _tell(console, gateway.post("users", body={"name": name, "groups": list(groups)}), "added")


@users_command.command("list")
@gateway
@options.common
@options.pass_console
def list_command(console: Console, gateway: Client) -> None:
    """Show all users."""
    users = gateway.get("users")
    if console.json:
        console.document(users)
    elif not users:
        console.text("there are no users; add one: wardgate gateway users add NAME")
    else:
        rows = [
            (user["name"], gateway_words.state(user), gateway_words.listed(user["groups"])) for user in users
        ]
        console.text(gateway_words.table(rows, ("user", "state", "groups")))


@users_command.command("show")
@_NAME
@gateway
@options.common
@options.pass_console
def show_command(console: Console, gateway: Client, name: str) -> None:
    """Show a user with devices and second factors."""
    user = gateway.get("users", name)
    factors = gateway.get("users", name, "factors")
    devices = gateway.get("devices", user=name)
    if console.json:
        console.document({**user, "factors": factors, "devices": devices})
        return
    methods = [one["name"] for one in factors["methods"] if one["confirmed"]]
    rows = [
        ("user", user["name"]),
        ("state", gateway_words.state(user)),
        ("groups", gateway_words.listed(user["groups"])),
        ("since", f"{gateway_words.moment(user['created'])} UTC"),
        ("factors", gateway_words.listed(methods)),
        ("recovery", f"{factors['recovery_codes']} codes left"),
        ("failures", f"{factors['failures']} since the last login"),
        *(
            (f"{one['device']}", f"no login before {gateway_words.moment(one['locked_until'])} UTC")
            for one in factors["devices"]
            if one["locked_until"]
        ),
        *(
            ("device" if not number else "", f"{device['name']}  {' '.join(device['addresses'])}")
            for number, device in enumerate(devices)
        ),
    ]
    console.text(gateway_words.table(rows))


@users_command.command("remove")
@_NAME
@gateway
@options.common
@options.pass_console
def remove_command(console: Console, gateway: Client, name: str) -> None:
    """Remove a user with all devices, tokens and second factors, at once."""
    _done(console, gateway.delete("users", name), f"removed: {name}")


@users_command.command("lock")
@_NAME
@gateway
@options.common
@options.pass_console
def lock_command(console: Console, gateway: Client, name: str) -> None:
    """Let nothing of the user's devices pass that needs a login, and nobody log in, at once.

    What needs no login passes still; `users remove` ends that too.
    """
    _tell(console, gateway.post("users", name, "lock"), "locked")


@users_command.command("unlock")
@_NAME
@gateway
@options.common
@options.pass_console
def unlock_command(console: Console, gateway: Client, name: str) -> None:
    """End a lock. The user has to log in again."""
    _tell(console, gateway.post("users", name, "unlock"), "unlocked")


@users_command.command("join")
@_NAME
@_GROUP
@gateway
@options.common
@options.pass_console
def join_command(console: Console, gateway: Client, name: str, group: str) -> None:
    """Make a user a member of a group."""
    _tell(console, gateway.post("users", name, "groups", body={"group": group}), "joined")


@users_command.command("leave")
@_NAME
@_GROUP
@gateway
@options.common
@options.pass_console
def leave_command(console: Console, gateway: Client, name: str, group: str) -> None:
    """End a user's membership of a group."""
    _tell(console, gateway.delete("users", name, "groups", group), "left")


@users_command.command("reset-mfa")
@_NAME
@gateway
@options.common
@options.pass_console
def reset_mfa_command(console: Console, gateway: Client, name: str) -> None:
    """Forget a user's second factors and recovery codes, so that they are set up anew."""
    _done(console, gateway.post("users", name, "reset-mfa"), f"second factors forgotten: {name}")


@users_command.command("unlock-login")
@_NAME
@gateway
@options.common
@options.pass_console
def unlock_login_command(console: Console, gateway: Client, name: str) -> None:
    """Let a user try to log in again who failed too often."""
    _done(console, gateway.post("users", name, "unlock-login"), f"may log in again: {name}")


def _tell(console: Console, user: Mapping[str, Any], what: str) -> None:
    if console.json:
        console.document(user)
    groups = f" ({' '.join(user['groups'])})" if user["groups"] else ""
    console.text(gateway_words.plain(f"{what}: {user['name']}{groups}"))


def _done(console: Console, document: Mapping[str, Any], text: str) -> None:
    if console.json:
        console.document(document)
    console.text(gateway_words.plain(text))
