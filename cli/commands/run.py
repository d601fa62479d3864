"""`wardgate run`: enforce an artefact on a device, and show what it drops."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from wardgate.cli import options
from wardgate.cli.commands.status import hook_document
from wardgate.cli.console import Console
from wardgate.cli.watching import show_events

if TYPE_CHECKING:
    from wardgate.cli.devices import Device
    from wardgate.runtime.gate import Gate

_WAYS = ("tcx", "clsact", "xdp-link-driver", "xdp-link-generic", "xdp-netlink-driver", "xdp-netlink-generic")


@click.command("run")
@click.argument("artefact", metavar="ARTEFACT", type=options.FILE)
@click.option("--device", metavar="DEV", required=True, help="The tunnel's network interface.")
@click.option(
    "--devices", "devices_file", metavar="FILE", required=True, type=options.FILE,
    help="Who is behind which tunnel address: YAML or JSON.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="The gate's name; the device's where it is left out.")
@click.option(
    "--hook", type=click.Choice(["tc", "xdp"]), default="tc", show_default=True,
    help="Judge packets from devices in tc, or earlier, in XDP.",
)  # fmt: skip
@click.option(
    "--attach", "ways", metavar="WAY", multiple=True, type=click.Choice(_WAYS),
    help=f"Attach in this way only, not the best that the kernel has: {', '.join(_WAYS)}.",
)  # fmt: skip
@click.option("--detach-after-load", is_flag=True, help="Exit when the gate enforces; it stays.")
@options.trace
@options.common
@options.pass_console
def run_command(
    console: Console,
    artefact: Path,
    device: str,
    devices_file: Path,
    name: str | None,
    hook: str,
    ways: Sequence[str],
    detach_after_load: bool,
    trace: bool,
) -> None:
    """Enforce an artefact on a device and show the packets that it drops.

    The gate stays in the kernel when this command ends, also when it is killed; running it again
    takes the gate over with its sessions. `wardgate detach` removes it.
    """
    console.stream = True
    with _stoppable():
        gate, adopted = _start(artefact, device, devices_file, name, hook, ways, trace=trace)
    status = gate.status()
    attached = {
        "event": "attached",
        "name": gate.name,
        "device": device,
        "adopted": adopted,
        "hooks": [hook_document(one) for one in status.hooks],
        "devices": status.devices,
        "generation": status.generation,
        "digest": status.digest,
    }
    if console.json:
        console.line(attached)
    ways_taken = ", ".join(f"{one.hook.value} by {one.rung.value}" for one in status.hooks if one.rung)
    verb = "took over" if adopted else "made"
    console.note(f"{verb} gate {gate.name} on {device}: {ways_taken}; {status.devices} devices")
    for one in status.hooks:
        for refusal in one.refused:
            console.note(f"  {one.hook.value}: {refusal.rung.value} refused: {refusal.cause}")
    if not detach_after_load:
        show_events(console, gate)
    console.note(f"{device} stays enforced; wardgate detach --name {gate.name} ends it")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM into what SIGINT is, so that a gate is never left half made."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(
    artefact: Path,
    device: str,
    devices_file: Path,
    name: str | None,
    hook: str,
    ways: Sequence[str],
    *,
    trace: bool,
) -> tuple[Gate, bool]:
    """The gate, enforcing, and whether it was there before."""
    from wardgate.cli import devices
    from wardgate.runtime.attach import Rung
    from wardgate.runtime.devices import DeviceSpec, check_devices
    from wardgate.runtime.elf import read_artefact
    from wardgate.runtime.gate import Gate
    from wardgate.runtime.generation import traced
    from wardgate.runtime.layout.maps import DEVICE_SLOTS

    found = devices.read(devices_file)
    spec = read_artefact(artefact.read_bytes())
    if trace:
        spec = traced(spec)
    tunnel = spec.manifest.tunnel if spec.manifest else ()
    _check_addresses(found, devices_file, tunnel)
    specs = [DeviceSpec(one.addresses, one.user) for one in found]
    # Room for twice as many, so that the file may grow while the gate lives.
    slots = max(DEVICE_SLOTS, 1 << (2 * len(specs)).bit_length())
    check_devices(specs, tunnel, slots)
    adopted = (name or device) in Gate.list()
    rungs = [Rung(way) for way in ways] or None
    gate = Gate.create_or_adopt(spec, device=device, name=name, hook=hook, device_slots=slots, rungs=rungs)
    try:
        gate.set_devices(specs)
    except BaseException:
        if not adopted:
            gate.detach()
        raise
    return gate, adopted


def _check_addresses(found: Sequence[Device], file: Path, tunnel: Sequence[str]) -> None:
    """DevicesError for addresses that the policy's tunnel does not have."""
    from wardgate.cli.devices import DevicesError, Mistake

    prefixes = [ip_network(prefix) for prefix in tunnel]
    shown = ", ".join(tunnel) or "none"
    mistakes = [
        Mistake(one.line, 1, f"{address} is outside the policy's tunnel ({shown})")
        for one in found
        for address in one.addresses
        if not any(address in prefix for prefix in prefixes)
    ]
    if mistakes:
        raise DevicesError(str(file), mistakes, file.read_text(encoding="utf-8-sig"))
