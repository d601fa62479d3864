"""Rules that say `within`, as scenarios that any plane can run: packets of either direction stop when the
login is too old, and go on after another."""

from __future__ import annotations

from collections.abc import Callable

from packet_scenarios import A4, A6, tcp, udp
from planes import SECOND, TICK, Plane
from wardgate.compiler.explain import packets
from wardgate.runtime.layout.codes import DEVICE_LOCKED, Reason, Verdict

POLICY = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow: ["10.1.0.0/16 80/tcp"]
    mfa:
      - "10.1.0.0/16 within 1d"
      - "10.1.0.0/16 22/tcp within 15m"
      - "10.2.0.0/16"
      - "10.2.0.0/16 53/udp within 10m"
      - "fd00:1::/48 within 15m"
inbound:
  "*":
    mfa: ["10.3.0.0/16 9100/tcp 9100/udp within 2m", "10.3.0.0/16 22/tcp"]
"""
WITHIN_15M, WITHIN_1D = 3, 2
HOST, HOST6, LOOSE, SENDER = "10.1.2.3", "fd00:1::3", "10.2.0.3", "10.3.0.9"
LONG = 90_000 * SECOND

Scenario = Callable[[Plane], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def log_in(plane: Plane, slot: int, ago: int, **fields: int) -> None:
    """A session of a login so many ns ago, which may have been before the machine started."""
    login = (plane.now() - ago) % (1 << 64)
    plane.session(slot, **{"deadline": plane.now() + LONG, "login": login, **fields})


@scenario
def the_strictest_rule_decides(plane: Plane) -> None:
    slot = plane.device("alice", A4, A6)
    log_in(plane, slot, 14 * 60 * SECOND)
    seen = plane.out(tcp(A4, HOST, 4000, 22))
    assert seen.passed
    log_in(plane, slot, 15 * 60 * SECOND + SECOND)
    seen = plane.out(tcp(A4, HOST, 4000, 22))
    assert (seen.reason, seen.event["rule"], seen.event["verdict"]) == (
        Reason.LOGIN_TOO_OLD, WITHIN_15M, Verdict.MFA,
    )  # fmt: skip
    # Other services of the bucket give a login more time; an mfa rule comes before an allow.
    assert plane.out(tcp(A4, HOST, 4000, 23)).passed
    assert plane.out(tcp(A4, HOST, 4000, 80)).passed
    assert plane.out(tcp(A4, LOOSE, 4000, 22)).passed
    assert plane.out(udp(A4, LOOSE, 4000, 53)).reason is Reason.LOGIN_TOO_OLD
    assert plane.out(tcp(A6, HOST6, 4000, 22)).reason is Reason.LOGIN_TOO_OLD
    log_in(plane, slot, 86_401 * SECOND)
    seen = plane.out(tcp(A4, HOST, 4000, 80))
    assert (seen.reason, seen.event["rule"]) == (Reason.LOGIN_TOO_OLD, WITHIN_1D)
    assert plane.out(tcp(A4, LOOSE, 4000, 22)).passed


@scenario
def replies_stop_when_what_they_reply_to_would(plane: Plane) -> None:
    slot = plane.device("alice", A4, A6)
    log_in(plane, slot, SECOND)
    sent = udp(A4, LOOSE, 4000, 53)
    for packet in (sent, tcp(A4, HOST, 4000, 22), udp(A6, HOST6, 4000, 53)):
        assert plane.out(packet).passed
    answers = [
        packets.reply(sent),
        tcp(HOST, A4, 22, 4000, "A"),
        udp(HOST6, A6, 53, 4000),
        packets.error_about(tcp(A4, HOST, 4000, 22), source="10.0.0.254"),
    ]
    for packet in answers:
        assert plane.to(packet).passed
    log_in(plane, slot, 16 * 60 * SECOND)
    for packet in answers:
        assert plane.to(packet).reason is Reason.LOGIN_TOO_OLD
    log_in(plane, slot, 0)
    for packet in answers:
        assert plane.to(packet).passed


@scenario
def inbound_rules_ask_too(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    opening, datagram = tcp(SENDER, A4, 4000, 9100), udp(SENDER, A4, 4000, 9100)
    log_in(plane, slot, 119 * SECOND)
    assert plane.to(opening).passed
    assert plane.to(datagram).passed
    assert plane.out(packets.reply(datagram)).passed
    log_in(plane, slot, 121 * SECOND)
    assert plane.to(opening).reason is Reason.LOGIN_TOO_OLD
    assert plane.to(datagram).reason is Reason.LOGIN_TOO_OLD
    assert plane.out(packets.reply(datagram)).passed is False
    assert plane.to(tcp(SENDER, A4, 4000, 22)).passed


@scenario
def a_login_ages_while_packets_come(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet = tcp(A4, HOST, 4000, 22)
    log_in(plane, slot, 15 * 60 * SECOND - 30 * SECOND)
    assert plane.out(packet).passed
    log_in(plane, slot, 15 * 60 * SECOND - 3 * TICK)
    plane.sleep(5 * TICK)
    assert plane.out(packet).reason is Reason.LOGIN_TOO_OLD


@scenario
def other_reasons_come_first(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    packet = tcp(A4, HOST, 4000, 22)
    old = 16 * 60 * SECOND
    plane.session(slot)
    assert plane.out(packet).reason is Reason.NEEDS_LOGIN
    log_in(plane, slot, old, deadline=plane.now() - TICK)
    assert plane.out(packet).reason is Reason.SESSION_EXPIRED
    log_in(plane, slot, old, flags=DEVICE_LOCKED)
    assert plane.out(packet).reason is Reason.LOCKED
    log_in(plane, slot, old, idle_limit=1)
    assert plane.out(packet).reason is Reason.IDLE
    # A session without any login: whoever made it, it does not pass for a new one.
    log_in(plane, slot, 0, login=0)
    assert plane.out(packet).reason is Reason.LOGIN_TOO_OLD


@scenario
def a_login_that_the_clock_has_not_come_to_is_recent(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    log_in(plane, slot, -SECOND)
    assert plane.out(tcp(A4, HOST, 4000, 22)).passed


@scenario
def what_is_dropped_is_no_activity(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    active = plane.now() - 5 * SECOND
    fields = {"last_active": active, "idle_limit": 60 * SECOND}
    log_in(plane, slot, 16 * 60 * SECOND, **fields)
    assert plane.out(tcp(A4, HOST, 4000, 22)).reason is Reason.LOGIN_TOO_OLD
    assert plane.device_record(slot)["last_active"] == active
    assert plane.out(tcp(A4, HOST, 4000, 23)).passed
    assert plane.device_record(slot)["last_active"] > active


@scenario
def later_fragments_of_unknown_packets_meet_the_strictest(plane: Plane) -> None:
    slot = plane.device("alice", A4)
    first, later = packets.fragments(udp(A4, HOST, 4000, 9, bytes(1200)), 800)
    log_in(plane, slot, 14 * 60 * SECOND)
    assert plane.out(later).passed
    log_in(plane, slot, 16 * 60 * SECOND)
    seen = plane.out(later)
    assert (seen.reason, seen.event["rule"]) == (Reason.LOGIN_TOO_OLD, WITHIN_15M)
    # After its first, it fares as that does.
    assert plane.out(first).passed
    assert plane.out(later).passed
