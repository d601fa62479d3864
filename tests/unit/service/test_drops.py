"""Dropped packets, as those who watch the gateway are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

from wardgate.gateway.events import KINDS
from wardgate.gateway.records import Device
from wardgate.gateway.service.drops import as_event, inside
from wardgate.runtime.events import DropEvent
from wardgate.runtime.layout.codes import Direction, Reason, Verdict
from wardgate.runtime.layout.manifest import RuleSource

DROP = DropEvent(
    time=datetime(2026, 1, 1, tzinfo=UTC), boot_time=1, direction=Direction.FROM_DEVICE,
    reason=Reason.NEEDS_LOGIN, verdict=Verdict.MFA, user="alice", source=ip_address("10.9.0.2"),
    destination=ip_address("10.1.2.3"), protocol=6, source_port=40_000, destination_port=22, icmp_type=0,
    length=60, inbound=False, rule=RuleSource(1, "mfa", "group:x", False, "office.yaml", 14, 11, "lab"),
    prefix="10.1.0.0/16", generation=1, slot=1, suppressed=3,
)  # fmt: skip
DEVICE = Device("dev-1", "alice", "laptop", "KEY", ("10.9.0.2",), None, None, False, 1)


def test_a_drop_says_whose_what_and_why() -> None:
    event = as_event(DROP, DEVICE)
    assert (event.kind, event.device) == ("drop", "")
    assert event.details == {
        "user": "alice", "name": "laptop", "source": "10.9.0.2", "destination": "10.1.2.3",
        "service": "22/tcp", "reason": "needs login", "at": "office.yaml:14:11", "rule": "lab",
        "suppressed": "3",
    }  # fmt: skip
    assert inside(DROP) == "10.9.0.2"
    assert inside(replace(DROP, direction=Direction.TO_DEVICE)) == "10.1.2.3"


def test_what_there_is_not_is_left_out() -> None:
    nobody = replace(DROP, source=None, destination=None, rule=None, reason=Reason.MALFORMED, suppressed=0)
    assert as_event(nobody, None).details == {"reason": "malformed"}
    assert inside(nobody) == ""
    passed = as_event(replace(DROP, reason=Reason.PASS), DEVICE)
    assert passed.kind == "pass"
    assert {passed.kind, as_event(DROP, DEVICE).kind} <= set(KINDS)
