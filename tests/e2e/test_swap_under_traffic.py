"""Policies are swapped many times while a process sends without pause: no packet is judged by a mixture."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.root

SWAPS, BY_COMMAND = 80, 4
BOTH, NEITHER, FIRST, SECOND, SESSION = 53, 54, 4001, 4002, 5000
POLICY = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow: ["10.0.0.5 53/udp {port}/udp"]
    mfa: ["10.1.0.0/16 5000/udp"]
"""

SENDER = """
import json, select, socket, sys
both, neither, first, second, session = map(int, sys.argv[1:])
sent, answered = {}, {}
sockets = {}
for port, remote in ((both, "10.0.0.5"), (neither, "10.0.0.5"), (first, "10.0.0.5"),
                     (second, "10.0.0.5"), (session, "10.1.2.3")):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("10.9.0.2", 0))
    made.connect((remote, port))
    made.setblocking(False)
    sockets[port], sent[port], answered[port] = made, 0, 0
number = 0
lost = []
while not select.select([sys.stdin], [], [], 0)[0]:
    number += 1
    data = number.to_bytes(8, "big")
    for port, sock in sockets.items():
        sock.send(data)
        sent[port] += 1
    waiting = {both, session}
    while waiting:
        ready, _, _ = select.select([sockets[port] for port in sockets], [], [], 10)
        if not ready:
            lost.append([number, sorted(waiting)])
            break
        for port, sock in sockets.items():
            if sock in ready and sock.recv(100) == data:
                answered[port] += 1
                waiting.discard(port)
            elif sock in ready:
                answered[port] += 1
print(json.dumps({"sent": sent, "answered": answered, "lost": lost}))
"""


def test_swaps_under_traffic(tmp_path, e2e):
    from wardgate.runtime.gate import Gate

    with e2e.make_bed("tun", tmp_path) as bed:
        artefacts = [bed.compile(POLICY.format(port=port), f"p{port}") for port in (FIRST, SECOND)]
        bed.start(artefacts[0])
        bed.network.up(e2e.GATEWAY, [])
        bed.command("session", "grant", "10.9.0.2", "--for", "1h")
        ports = [
            bed.probe("alice", "10.1.2.3" if port == SESSION else "10.0.0.5", f"{port}/udp")
            for port in (BOTH, NEITHER, FIRST, SECOND, SESSION)
        ]
        with e2e.Answerers(ports) as answerers:
            with bed.network.clients["alice"].enter():
                sender = subprocess.Popen(
                    [sys.executable, "-c", SENDER, *map(str, (BOTH, NEITHER, FIRST, SECOND, SESSION))],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
            try:
                swap(bed, Gate, artefacts)
            finally:
                said, _ = sender.communicate("stop", timeout=60)
            arrived = {port for _, _, port in answerers.arrived}
        found = json.loads(said)
        sent, answered = ({int(p): n for p, n in found[key].items()} for key in ("sent", "answered"))

        assert found["lost"] == []
        assert answered[BOTH] == sent[BOTH] > SWAPS
        assert answered[SESSION] == sent[SESSION]
        assert answered[NEITHER] == 0
        assert arrived == {BOTH, FIRST, SECOND, SESSION}
        # Each policy decided some packets: the traffic did go on under both.
        assert 0 < answered[FIRST] < sent[FIRST]
        assert 0 < answered[SECOND] < sent[SECOND]

        status = bed.command("status")
        reasons = {name for counts in status["counters"].values() for name in counts}
        assert "needs login" not in reasons
        (session,) = [s for s in bed.command("session", "list") if s["user"] == "alice"]
        assert session["state"] == "authorised"
        assert status["generation"] == SWAPS + 1


def swap(bed, gate_class, artefacts):
    """Back and forth between the policies: by the command, and by what it calls, which is faster."""
    for number in range(BY_COMMAND):
        bed.command("swap", artefacts[(number + 1) % 2])
    data = [artefact.read_bytes() for artefact in artefacts]
    failed = []

    def by_api():
        try:
            with bed.network.gateway.enter():
                gate = gate_class.open(bed.name)
                for number in range(BY_COMMAND, SWAPS):
                    gate.swap(data[(number + 1) % 2])
        except BaseException as error:
            failed.append(error)

    # A thread of its own may enter the gateway's namespace while this one goes on.
    thread = threading.Thread(target=by_api)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
