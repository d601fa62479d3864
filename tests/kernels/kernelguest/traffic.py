"""A gate on a kernel WireGuard device between namespaces, and what becomes of packets there."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from wardgate.cli.demo.network import DEVICE, Network
from wardgate.cli.demo.scenario import ADDRESSES, GATEWAY
from wardgate.cli.demo.traffic import Answerers, Flow, Probe, Seen, send
from wardgate.cli.demo.tunnel import KERNEL, Tunnel
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.gate import Gate
from wardgate.runtime.spec import ObjectSpec

_PATIENCE = 30.0
_QUIET_SECONDS = 0.5
_SLOTS = 16

Question = tuple[str, str, str, bool]
"""User, remote, service, and whether the remote is the one that speaks first."""

QUESTIONS: dict[str, Question] = {
    "allowed udp": ("alice", "10.0.0.53", "53/udp", False),
    "allowed tcp": ("alice", "10.0.0.5", "443/tcp", False),
    "allowed tcp v6": ("alice", "fd00::5", "443/tcp", False),
    "allowed icmp": ("alice", "10.0.0.5", "icmp", False),
    "allowed icmp v6": ("alice", "fd00::5", "icmp", False),
    "inbound": ("alice", "10.0.0.90", "9100/tcp", True),
    "mfa tcp": ("alice", "10.1.2.3", "22/tcp", False),
    "mfa icmp": ("alice", "10.1.2.3", "icmp", False),
    "mfa tcp v6": ("alice", "fd00:1::8", "443/tcp", False),
    "mfa udp, carol": ("carol", "10.1.2.3", "5000/udp", False),
    "denied, carol": ("carol", "10.1.2.3", "22/tcp", False),
    "no bucket, bob": ("bob", "10.0.0.91", "443/tcp", False),
    "no rule, carol": ("carol", "10.0.0.5", "22/tcp", False),
    "not asked for": ("alice", "10.0.0.53", "5353/udp", True),
}


class _Drops:
    """Reads a gate's reports in a thread."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._stop = threading.Event()
        self.reasons: dict[Flow, str] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for event in self._gate.events(_QUIET_SECONDS):
                flow = Flow(
                    event.protocol, str(event.source), event.source_port,
                    str(event.destination), event.destination_port,
                )  # fmt: skip
                self.reasons[flow] = event.reason.label

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class _Bed:
    """The network, its gate, and packets through it."""

    def __init__(self, stack: ExitStack, artefact: ObjectSpec, hook: str) -> None:
        remotes = sorted({remote for _, remote, _, _ in QUESTIONS.values()})
        self._network = stack.enter_context(
            Network(ADDRESSES, remotes, lambda *ends: Tunnel(*ends, kinds=(KERNEL,)))
        )
        with self._network.gateway.enter():
            self.gate = Gate.create_or_adopt(artefact, device=DEVICE, hook=hook, device_slots=_SLOTS)
            stack.callback(self._detach)
            self.gate.set_devices([DeviceSpec.of(user, *own) for user, own in ADDRESSES.items()])
        self._drops = _Drops(self.gate)
        stack.callback(self._drops.close)
        self._network.up(GATEWAY, [])

    def _detach(self) -> None:
        with self._network.gateway.enter():
            self.gate.detach()

    def fates(self, *names: str) -> dict[str, str]:
        """What became of each packet: `pass`, or the reason for dropping it."""
        probes = [self._probe(QUESTIONS[name]) for name in names]
        with Answerers(probes) as answerers:
            found = send(probes, answerers, lambda flow: flow in self._drops.reasons, _PATIENCE)
        return {
            name: self._drops.reasons[flow] if seen is Seen.DROP else seen.value
            for name, (seen, flow) in zip(names, found, strict=True)
        }

    def swapped(self, artefact: ObjectSpec) -> int:
        """Put another policy in force; its generation."""
        with self._network.gateway.enter():
            return self.gate.swap(artefact)

    def rolled_back(self) -> int:
        """Put the previous policy back in force; its generation."""
        with self._network.gateway.enter():
            return self.gate.rollback()

    def rungs(self) -> dict[str, str | None]:
        """By which way each hook is attached."""
        with self._network.gateway.enter():
            hooks = self.gate.status().hooks
        return {one.hook.value: one.rung.value if one.rung else None for one in hooks}

    def _probe(self, question: Question) -> Probe:
        user, remote, service, inbound = question
        client, own = self._network.clients[user], ADDRESSES[user][":" in remote]
        if inbound:
            return Probe(self._network.servers, remote, client, own, service)
        return Probe(client, own, self._network.servers, remote, service)


def observe(folder: Path, hook: str) -> dict[str, Any]:
    """Stage to packet to fate."""
    office, closed = (
        read_artefact((folder / f"{name}-llvmlite.o").read_bytes()) for name in ("office", "closed")
    )
    mfa = [name for name in QUESTIONS if name.startswith("mfa")]
    with ExitStack() as stack:
        bed = _Bed(stack, office, hook)
        seen: dict[str, Any] = {"rungs": bed.rungs(), "before login": bed.fates(*QUESTIONS)}
        for own in ADDRESSES.values():
            bed.gate.sessions.grant(own[0], 600)
        seen["after login"] = bed.fates(*mfa, "denied, carol")
        bed.gate.sessions.revoke(ADDRESSES["carol"][0])
        seen["after logout of carol"] = bed.fates(*mfa)
        # `closed` denies alice the wiki and lets nobody speak first; her session stays.
        seen["generations"] = [bed.swapped(closed)]
        seen["after a swap"] = bed.fates("allowed tcp", "allowed udp", "mfa tcp", "inbound")
        seen["generations"].append(bed.rolled_back())
        seen["after a rollback"] = bed.fates("allowed tcp", "mfa tcp", "inbound")
        return seen
