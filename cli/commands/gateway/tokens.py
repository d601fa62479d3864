"""`wardgate gateway tokens`: permissions to enrol a device."""

from __future__ import annotations

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.lazily import Group


@click.group("tokens", cls=Group)
def tokens_command() -> None:
    """Issue, list and revoke enrolment tokens.

    Whoever has a token's text can enrol a device of its user, so many times and so long as it says.
    """


@tokens_command.command("issue")
@click.argument("user", metavar="USER")
@click.option(
    "--uses", metavar="NUMBER", type=click.IntRange(1, 10_000), default=1, show_default=True,
    help="How many devices it enrols.",
)  # fmt: skip
@click.option(
    "--for", "lifetime", metavar="DURATION", default="1d", show_default=True, callback=options.as_duration,
    help="How long it works: 30m, 12h, 7d.",
)  # fmt: skip
@click.option(
    "--group", "groups", metavar="GROUP", multiple=True, help="Make the user a member of it on enrolment."
)
@click.option(
    "--address", "addresses", metavar="ADDRESS", multiple=True,
    help="The tunnel address that the device gets, one of each version of IP; without it, free ones.",
)  # fmt: skip
@click.option(
    "--replaces", metavar="DEVICE",
    help="For a new key of this device, given as USER/NAME, instead of another device: a lost phone's.",
)  # fmt: skip
@gateway
@options.common
@options.pass_console
def issue_command(
    console: Console,
    gateway: Client,
    user: str,
    uses: int,
    lifetime: int,
    groups: tuple[str, ...],
    addresses: tuple[str, ...],
    replaces: str | None,
) -> None:
    """Issue a token for a device of USER. Its text is a secret, and shown this once.

    \b
    wardgate gateway tokens issue alice --for 2h
    wardgate gateway tokens issue alice --replaces alice/phone
    """
    body = {
        "user": user,
        "uses": uses,
        "lifetime": lifetime,
        "groups": list(groups),
        "addresses": list(addresses),
        "replaces": None if replaces is None else gateway.device(replaces)["id"],
    }
    issued = gateway.post("tokens", body=body)
    if console.json:
        console.document(issued)
        return
    token = issued["token"]
    expires = gateway_words.moment(token["expires"])
    many = f"{token['uses']} use{'s' * (token['uses'] != 1)}"
    console.note(gateway_words.plain(f"token {token['id']} for {token['user']}, {many}, until {expires} UTC"))
    console.text(issued["text"])
    if issued["link"]:
        console.note(f"or as a link: {issued['link']}")


@tokens_command.command("list")
@gateway
@options.common
@options.pass_console
def list_command(console: Console, gateway: Client) -> None:
    """Show the tokens that still work."""
    tokens = gateway.get("tokens")
    if console.json:
        console.document(tokens)
    elif not tokens:
        console.text("there are no tokens")
    else:
        rows = [
            (
                token["id"],
                token["user"],
                token["uses"],
                gateway_words.moment(token["expires"]),
                token["created_by"],
            )
            for token in tokens
        ]
        console.text(gateway_words.table(rows, ("token", "user", "uses", "until (UTC)", "issued by")))


@tokens_command.command("revoke")
@click.argument("token", metavar="TOKEN")
@gateway
@options.common
@options.pass_console
def revoke_command(console: Console, gateway: Client, token: str) -> None:
    """Take a token back. TOKEN is its id, as `tokens list` shows it."""
    document = gateway.delete("tokens", token)
    if console.json:
        console.document(document)
    console.text(gateway_words.plain(f"revoked: {token}"))
