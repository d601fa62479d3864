"""`wardgate gateway devices`: the machines that may connect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import USAGE, CommandError
from wardgate.cli.lazily import Group

_DEVICE = click.argument("device", metavar="DEVICE")
_KEY_BYTES = 200
"""More than a file with a private key has."""
_PRIVATE_KEY = re.compile(r"\s*#?\s*PrivateKey\b")
"""The line for it, also as a comment."""


@click.group("devices", cls=Group)
def devices_command() -> None:
    """Add, list, lock and remove devices, and print their WireGuard configuration.

    DEVICE is USER/NAME, a tunnel address, a public key or an id.
    """


@devices_command.command("list")
@click.option("--user", metavar="USER", help="Only this user's.")
@gateway
@options.common
@options.pass_console
def list_command(console: Console, gateway: Client, user: str | None) -> None:
    """Show all devices."""
    devices = gateway.get("devices", user=user)
    if console.json:
        console.document(devices)
    elif not devices:
        console.text("there are no devices; issue a token: wardgate gateway tokens issue USER")
    else:
        rows = [
            (
                gateway_words.device_name(device),
                gateway_words.state(device),
                gateway_words.listed(device["addresses"]),
            )
            for device in devices
        ]
        console.text(gateway_words.table(rows, ("device", "state", "addresses")))


@devices_command.command("show")
@_DEVICE
@gateway
@options.common
@options.pass_console
def show_command(console: Console, gateway: Client, device: str) -> None:
    """Show a device."""
    found = gateway.device(device)
    if console.json:
        console.document(found)
        return
    keepalive = found["keepalive"]
    rows = [
        ("device", gateway_words.device_name(found)),
        ("id", found["id"]),
        ("state", gateway_words.state(found)),
        ("addresses", gateway_words.listed(found["addresses"])),
        ("public key", found["public_key"]),
        ("preshared", "yes" if found["preshared"] else "no"),
        ("keepalive", f"{keepalive} s" if keepalive else "-"),
        ("since", f"{gateway_words.moment(found['created'])} UTC"),
    ]
    console.text(gateway_words.table(rows))


@devices_command.command("add")
@click.argument("user", metavar="USER")
@click.argument("name", metavar="NAME")
@click.argument("public_key", metavar="PUBLIC_KEY")
@click.option(
    "--address", "addresses", metavar="ADDRESS", multiple=True,
    help="Its tunnel address, one of each version of IP; without it, free ones.",
)  # fmt: skip
@click.option(
    "--keepalive", type=click.IntRange(1, 65_535), metavar="SECONDS", help="For a device behind NAT."
)
@click.option("--no-preshared", is_flag=True, help="Make no preshared key.")
@gateway
@options.common
@options.pass_console
def add_command(
    console: Console,
    gateway: Client,
    user: str,
    name: str,
    public_key: str,
    addresses: tuple[str, ...],
    keepalive: int | None,
    no_preshared: bool,
) -> None:
    """Add a device of a user. Its private key stays on the device.

    \b
    wg genkey | tee laptop.key | wg pubkey
    wardgate gateway devices add alice laptop WHAT-THAT-PRINTED
    """
    body = {
        "user": user,
        "name": name,
        "public_key": public_key,
        "addresses": list(addresses),
        "preshared": not no_preshared,
        "keepalive": keepalive,
    }
    _tell(console, gateway.post("devices", body=body), "added")


@devices_command.command("rename")
@_DEVICE
@click.argument("name", metavar="NAME")
@gateway
@options.common
@options.pass_console
def rename_command(console: Console, gateway: Client, device: str, name: str) -> None:
    """Give a device another name."""
    found = gateway.device(device)
    _tell(console, gateway.post("devices", found["id"], "rename", body={"name": name}), "renamed")


@devices_command.command("replace-key")
@_DEVICE
@click.argument("public_key", metavar="PUBLIC_KEY")
@gateway
@options.common
@options.pass_console
def replace_key_command(console: Console, gateway: Client, device: str, public_key: str) -> None:
    """Give a device another public key. Its session ends."""
    found = gateway.device(device)
    body = {"public_key": public_key}
    _tell(console, gateway.post("devices", found["id"], "replace-key", body=body), "has another key")


@devices_command.command("lock")
@_DEVICE
@gateway
@options.common
@options.pass_console
def lock_command(console: Console, gateway: Client, device: str) -> None:
    """Let nothing of a device pass that needs a login, at once. Nobody can log in there."""
    found = gateway.device(device)
    _tell(console, gateway.post("devices", found["id"], "lock"), "locked")


@devices_command.command("unlock")
@_DEVICE
@gateway
@options.common
@options.pass_console
def unlock_command(console: Console, gateway: Client, device: str) -> None:
    """End a lock. The user has to log in again."""
    found = gateway.device(device)
    _tell(console, gateway.post("devices", found["id"], "unlock"), "unlocked")


@devices_command.command("remove")
@_DEVICE
@gateway
@options.common
@options.pass_console
def remove_command(console: Console, gateway: Client, device: str) -> None:
    """Remove a device, at once."""
    found = gateway.device(device)
    document = gateway.delete("devices", found["id"])
    if console.json:
        console.document(document)
    console.text(gateway_words.plain(f"removed: {gateway_words.device_name(found)}"))


@devices_command.command("config")
@_DEVICE
@click.option("--qr", is_flag=True, help="Show it as a QR code, for WireGuard's app.")
@click.option(
    "--private-key", "key_file", metavar="FILE", type=click.File("rb"),
    help="Put the device's private key in; - reads it from stdin. It is not sent anywhere.",
)  # fmt: skip
@gateway
@options.common
@options.pass_console
def config_command(
    console: Console, gateway: Client, device: str, qr: bool, key_file: BinaryIO | None
) -> None:
    """Print a device's WireGuard configuration, as wg-quick takes it.

    The gateway has no private keys: without --private-key the line for it is missing.

    \b
    wardgate gateway devices config alice/laptop > wg0.conf
    wardgate gateway devices config alice/phone --qr --private-key phone.key
    """
    found = gateway.device(device)
    document = gateway.get("devices", found["id"], "config")
    text = document["text"] if key_file is None else _with_key(document, key_file)
    if console.json:
        console.document({**document, "text": text})
    elif qr:
        if key_file is None:
            console.warn("without --private-key the code has no private key, and WireGuard's app refuses it")
        from wardgate.gateway.identity.qr import qr_terminal

        console.text(qr_terminal(text).rstrip("\n"))
    else:
        console.text(text.rstrip("\n"))


def _with_key(document: Mapping[str, Any], file: BinaryIO) -> str:
    """A configuration with the private key as the first line of its interface."""
    from wardgate.gateway.errors import GatewayError
    from wardgate.gateway.identity.keys import public_key_of

    try:
        key = file.read(_KEY_BYTES).decode("ascii").strip()
        public_key = public_key_of(key)
    except (GatewayError, UnicodeDecodeError):
        raise CommandError("that is no private key of WireGuard", "make one with wg genkey", USAGE) from None
    if public_key != document["device"]["public_key"]:
        raise CommandError(
            "the private key is not that of the device's public key",
            "give the device's own, or replace its key: wardgate gateway devices replace-key",
            USAGE,
        )
    lines = document["text"].splitlines()
    kept = [line for line in lines if not _PRIVATE_KEY.match(line)]
    place = kept.index("[Interface]") + 1
    return "\n".join([*kept[:place], f"PrivateKey = {key}", *kept[place:]]) + "\n"


def _tell(console: Console, device: Mapping[str, Any], what: str) -> None:
    if console.json:
        console.document(device)
    name, addresses = gateway_words.device_name(device), " ".join(device["addresses"])
    console.text(gateway_words.plain(f"{what}: {name} ({addresses})"))
