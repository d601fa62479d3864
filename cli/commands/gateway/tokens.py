"""`wardgate gateway tokens`: permissions to enrol a device."""

from __future__ import annotations

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway


@click.group("tokens")
def tokens_command() -> None:
    """Issue, list and revoke enrolment tokens.

    Whoever has a token's text can enrol a device of its user, so many times and so long as it says.
    """


@tokens_command.command("issue")
@click.argument("user", metavar="USER")
@click.option(
    "--uses", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How often it works."
)
@click.option(
    "--for", "lifetime", metavar="DURATION", default="1d", show_default=True, callback=options.as_duration,
    help="How long it works: 30m, 12h, 7d.",
)  # fmt: skip
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="Make the user a member of it.")
@click.option("--address", "addresses", metavar="ADDRESS", multiple=True, help="What the device gets.")
@click.option("--replaces", metavar="DEVICE", help="It replaces this device's key, and adds none.")
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
    """Issue a token for a device of USER. Its text is a secret, and shown this once."""
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
    """Take a token back, by its id."""
    document = gateway.delete("tokens", token)
    if console.json:
        console.document(document)
    console.text(gateway_words.plain(f"revoked: {token}"))
