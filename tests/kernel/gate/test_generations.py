"""Two policies of unlike tables take turns on a real device: each packet is judged by one of them, what one
admitted by the other too, and a thousand turns leave nothing behind.

Packets go from one TUN device through the gateway's routing to another. The kernel does that within the
write, so that what cannot be read after it was dropped: nothing here waits for a packet.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import struct
import subprocess
import time
from collections import Counter, defaultdict, namedtuple
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain import packets
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.lowering.plan import default_plan
from wardgate.compiler.semantics.reference import Session, evaluate
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import DeviceSpec, wait_for_programs
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.errors import BpfError
from wardgate.runtime.gate import Gate
from wardgate.runtime.generation import generations
from wardgate.runtime.info import map_info, program_info
from wardgate.runtime.layout.codes import Direction
from wardgate.runtime.pins import GatePins
from wardgate.runtime.syscall import Cmd, fd_by_id, next_id, obj_get

pytestmark = [pytest.mark.root, pytest.mark.tool("ip")]

SWAP_EVERY, LOOK_EVERY = 35, 15
"""Some switches are swaps, and after some the sender is waited for; odd, so for either policy by turns."""
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
OUT, BACK = Direction.FROM_DEVICE, Direction.TO_DEVICE
RUNS = [("tc", [Rung.TCX], 1000), ("tc", [Rung.CLSACT], 200), ("xdp", None, 200)]
SIDES = {"gate0": ("10.9.0.0/16", "fd09::/64"), "out0": ("default", "::/0")}
"""Of the gateway: devices, and what is routed there."""
DEVICES = {"alice": ("10.9.0.2", "fd09::2"), "bob": ("10.9.0.3", "fd09::3")}
ALICE = DEVICES["alice"][0]
FORMS = {"reach": "ranked", "judge": "paged", "route4": "trie"}, {"tunnel4_size": 0, "tunnel6_size": 0}
CASES = [
    # Both let them pass, or both do not.
    ("alice", "10.0.0.5", "53/udp", "allow 10.0.0.5 53/udp", "allow 10.0.0.0/24 53/udp"),
    ("alice", "fd00::5", "443/tcp", "allow fd00::/64 443/tcp", "allow fd00::5 1-9999/tcp"),
    ("alice", "10.1.2.3", "22/tcp", "mfa 10.1.0.0/16 22/tcp", "mfa 10.1.2.3"),
    ("alice", "fd00:1::3", "5000/udp", "mfa fd00:1::/48 5000/udp", "mfa fd00:1::3 udp"),
    ("alice", "10.2.0.9", "9/udp", "deny 10.2.0.9 9/udp", "deny 10.2.0.0/16"),
    ("bob", "10.1.2.4", "22/tcp", "mfa 10.1.0.0/17 22/tcp", "mfa 10.1.2.4 tcp"),
    # The first alone does.
    ("alice", "10.0.0.6", "80/tcp", "allow 10.0.0.6 80/tcp", "deny 10.0.0.6 tcp"),
    ("alice", "10.0.0.7", "123/udp", "allow 10.0.0.7 123/udp", ""),
    ("alice", "10.0.0.8", "icmp", "allow 10.0.0.8 icmp", "deny 10.0.0.8"),
    ("alice", "fd00:6::6", "80/tcp", "mfa fd00:6::/40 80/tcp", "deny fd00:6::6 80/tcp"),
    ("bob", "fd00:7::7", "123/udp", "allow fd00:7::7 123/udp", "mfa fd00:7::/32 udp"),
    # The second alone does.
    ("alice", "fd00:2::2", "80/tcp", "", "allow fd00:2::/32 80/tcp"),
    ("alice", "10.3.0.3", "53/udp", "deny 10.3.0.0/17 53/udp", "mfa 10.3.0.3 53/udp"),
    ("bob", "10.0.0.6", "80/tcp", "mfa 10.0.0.0/29 80/tcp", "allow 10.0.0.6 80/tcp"),
]
"""User, remote, service, and each policy's rule about it. Alice is logged in, bob is not."""
Case = namedtuple("Case", "packets rules passes")
"""A packet from a device and its answer; and of each policy, the rule that decides about both (0: none of the
bucket's matches, None: there is no bucket) and whether they pass."""


def make_policy(side: int):
    users = defaultdict(lambda: defaultdict(list))
    for user, _, _, *texts in CASES:
        action, _, rule = texts[side].partition(" ")
        if rule:
            users[user][action].append(rule)
    # The first has hundreds of prefixes more, and users before those of the cases.
    for n in range(0 if side else 450):
        rules = users[f"aa{n % 40}"][("allow", "mfa", "deny")[n % 3]]
        rules.append(f"172.{16 + n % 16}.{n * 37 % 256}.0/{18 + n % 13} {1000 + n}/tcp")
        rules.append(f"fdaa:{n * 99:x}::/{24 + n % 47} {1000 + n}/udp")
    return parse_policy_text(json.dumps({"version": 1, "tunnel": SIDES["gate0"], "policies": users})).policy


def make_case(policies, user: str, remote: str, service: str) -> Case:
    session = Session.AUTHORISED if user == "alice" else Session.NONE
    asked = Query.parse(user, remote, service).packet
    said = [evaluate(policy, user, asked, session) for policy in policies]
    opening = packets.opening(DEVICES[user][":" in remote], remote, asked.protocol, asked.port)
    rules = [None if one.prefix is None else one.rule.id if one.rule else 0 for one in said]
    return Case((opening, packets.reply(opening)), rules, [one.passes for one in said])


@pytest.fixture(scope="module")
def bench():
    """Both policies, unlike in the form of every table and in every number; the cases, by the reference."""
    policies = [make_policy(side) for side in range(2)]
    plans = [lambda survey, form=form: replace(default_plan(survey), **form) for form in FORMS]
    specs = [read_artefact(compile_parsed(p, choose=c).data) for p, c in zip(policies, plans, strict=True)]
    assert all(len({spec.manifest.class_of(user) for spec in specs}) == 2 for user in DEVICES)
    cases = [make_case(policies, *words[:3]) for words in CASES]
    # No two have a rule in common.
    assert all(len({case.rules[side] for case in cases}) == len(cases) for side in range(2))
    return specs, cases


class Wire:
    """Both sides of the gateway. `seen` counts packets of rounds by case, direction and whether they passed;
    `changes`, by direction, how often one met another policy than the one before."""

    def __init__(self, cases: list[Case]) -> None:
        self.cases, self.seen, self.changes, self._side = cases, Counter(), Counter(), {}
        self.ends = [os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK) for _ in SIDES]
        for fd, (name, prefixes) in zip(self.ends, SIDES.items(), strict=True):
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
            # The kernel shall have nothing of its own to send there.
            lines = [f"link set {name} multicast off addrgenmode none", f"link set {name} up"]
            lines += [f"route add {prefix} dev {name}" for prefix in prefixes]
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", key).write_text("1")

    def passes(self, direction: Direction, packet: bytes) -> bool:
        os.write(self.ends[direction], packet)
        with suppress(BlockingIOError):
            found = os.read(self.ends[1 - direction], 2048)
            # Before that are the hop limit and its checksum.
            assert found[12:] == packet[12:], "a packet that had been dropped came"
            return True
        return False

    def round(self, *, answers: bool = True) -> None:
        for number, case in enumerate(self.cases):
            for direction in Direction if answers and any(case.passes) else [OUT]:
                passed = self.passes(direction, case.packets[direction])
                self.seen[number, direction, passed] += 1
                if case.passes[0] != case.passes[1]:
                    side = case.passes.index(passed)
                    self.changes[direction] += self._side.get(direction, side) != side
                    self._side[direction] = side

    def send(self, other, link, cpu: int) -> None:
        """Send without pause. True is answered after a round that began later, False by the tally."""
        os.sched_setaffinity(0, {cpu})
        # Who has both ends would not see that the other process ended.
        other.close()
        while not (asked := link.poll()) or link.recv():
            self.round()
            if asked:
                link.send(True)
        link.send((self.seen, self.changes))


@pytest.fixture
def wire(bench):
    """Be in the gateway's namespace, which has no name and ends with its last descriptor."""
    with NetNamespace("gateway") as namespace, namespace.enter():
        made = Wire(bench[1])
        yield made
        for fd in made.ends:
            os.close(fd)


@contextmanager
def background(wire: Wire):
    """Another process that sends, on a CPU of its own if there are two."""
    cpus = os.sched_getaffinity(0)
    here, there = multiprocessing.Pipe()
    sender = multiprocessing.get_context("fork").Process(target=wire.send, args=(here, there, max(cpus)))
    sender.start()
    there.close()
    try:
        os.sched_setaffinity(0, {min(cpus)})
        yield here
    finally:
        os.sched_setaffinity(0, cpus)
        sender.kill()
        sender.join()
        here.close()


def belongings(pins: GatePins) -> list[int]:
    """How many of the kernel's programs use the gate's devices, maps these use, pins, fds of this process."""
    with obj_get(pins.maps / "devices") as devices:
        ours = map_info(devices).id
    used, number = [], 0
    while (number := next_id(Cmd.PROG_GET_NEXT_ID, number)) is not None:
        # Those of others may go meanwhile.
        with suppress(BpfError), fd_by_id(Cmd.PROG_GET_FD_BY_ID, number) as program:
            used.append(program_info(program).map_ids)
    used = [maps for maps in used if ours in maps]
    paths = pins.root.rglob("*"), Path("/proc/self/fd").iterdir()
    return [len(used), len(set().union(*used)), *(len(list(found)) for found in paths)]


def make_gate(name: str, spec, **options) -> Gate:
    gate = Gate.create_or_adopt(spec, device="gate0", name=name, **options)
    gate.set_devices([DeviceSpec.of(user, *addresses) for user, addresses in DEVICES.items()])
    gate.sessions.grant(ALICE, 3600)
    return gate


@pytest.mark.parametrize(("hook", "rungs", "switches"), RUNS)
def test_each_packet_is_judged_by_one_policy(wire, gate_name, bench, hook, rungs, switches) -> None:
    (specs, cases), pins, hits = bench, GatePins(gate_name), {}
    gate = make_gate(gate_name, specs[0], hook=hook, rungs=rungs)

    def note_hits() -> None:
        for one in generations(pins):
            hits.update({(one.number, rule): count for rule, (count, _) in one.rule_hits().items()})

    # Datagrams open their flows where they pass: under the other policy, too, a rule then decides on answers.
    wire.round(answers=False)
    sides = {1: 0, gate.swap(specs[1]): 1}
    wire.round(answers=False)
    gate.rollback()
    before = belongings(pins)
    assert before[0] == 4
    with background(wire) as link:
        for number in range(1, switches + 1):
            if number % SWAP_EVERY:
                gate.rollback()
            else:
                # The generation that is not in force will go, and its counters with it.
                wait_for_programs()
                note_hits()
                sides[gate.swap(specs[number % 2])] = number % 2
            if number % LOOK_EVERY == 0:
                link.send(True)
                link.recv()
        link.send(False)
        seen, changes = link.recv()
    note_hits()

    for index, _, passed in seen:
        assert passed in cases[index].passes, CASES[index]
    counters = gate.status().counters.values()
    assert sum(count.packets for counts in counters for count in counts.values()) == seen.total()
    for index, case in enumerate(cases):
        ruled = [0, 0]
        for number, side in sides.items():
            ruled[side] += hits.pop((number, case.rules[side]), 0)
        outcomes = [sum(seen[index, direction, passed] for direction in Direction) for passed in case.passes]
        if case.passes[0] == case.passes[1]:
            assert 0 < ruled[0] < sum(ruled) == outcomes[0], CASES[index]
        else:
            assert all(outcomes), CASES[index]
            assert ruled == [0 if rule is None else n for rule, n in zip(case.rules, outcomes, strict=True)]
    assert not hits, "a rule decided that is of no case"
    for direction in Direction:
        # What a mixture of both decides looks like a switch that nobody made.
        assert switches // LOOK_EVERY - 1 <= changes[direction] <= switches + 2
    assert [one.mark for one in generations(pins)] == ["", ""]
    # Part of what goes is freed after a grace period.
    settled = (belongings(pins) == before or time.sleep(0.02) for _ in range(500))
    assert any(settled), f"{before} became {belongings(pins)}"


def conversation(packet: bytes):
    """How one begins, and what may follow without that."""
    protocol, content = packets.body(packet)
    answer, about = (BACK, packets.reply(packet)), (BACK, packets.error_about(packet))
    if protocol != packets.TCP:
        first, later, *_ = packets.fragments(packet, 8)
        return [(OUT, packet), (OUT, first)], [(OUT, packet), (OUT, later), answer, about]
    ends, ports = packets.addresses(packet), struct.unpack_from("!HH", content)
    rest = [(BACK, packets.reply(packet, flags=flags)) for flags in ("A", "FA", "R")]
    rest += [(OUT, packets.ip(*ends, protocol, packets.tcp(*ports, flags))) for flags in ("A", "FA", "R")]
    return [(OUT, packet), answer], [*rest, about]


def test_what_the_old_policy_admitted_is_judged_again(wire, gate_name, bench) -> None:
    specs, cases = bench
    talks = [conversation(case.packets[0]) for case in cases if case.passes == [True, False]]
    begin, go_on = ([step for talk in talks for step in talk[part]] for part in range(2))
    with_session = [step for case in cases[2:4] for step in zip(Direction, case.packets, strict=True)]
    gate = make_gate(gate_name, specs[0])
    deadline = gate.devices[ALICE]["deadline"]

    def passing(steps) -> set[bool]:
        return {wire.passes(*step) for step in steps}

    assert passing(begin + go_on + with_session) == {True}
    gate.swap(specs[1])
    assert passing(go_on + begin) == {False}
    assert passing(with_session) == {True}
    gate.rollback()
    assert passing(go_on + with_session) == {True}
    assert gate.devices[ALICE]["deadline"] == deadline
    # A session that ends has ended for the generation that is not in force, too.
    gate.sessions.revoke(ALICE)
    assert passing(with_session) == {False}
    gate.rollback()
    assert passing(with_session) == {False}
