"""What ends a gateway and closes its tunnel, and what is a problem only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.links import Link
from wardgate.gateway.service import health
from wardgate.gateway.service.health import Health, TunnelLostError
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.pins import LockError


class Machine:
    """An interface, and the gate on it: `judge` is what the gate says of itself."""

    def __init__(self) -> None:
        self.link: Link | None = Link("wg0", 7, "wireguard", 1420, True)
        self.judge: Callable[[], bool] = lambda: True
        self.closed = False

    def enforces(self) -> bool:
        return self.judge()

    def close(self, _name: str) -> None:
        self.closed = True


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(health, "find_link", lambda _: made.link)
    monkeypatch.setattr(health, "bring_down", made.close)
    return made


def look(machine: Machine, *, after: Callable[[], None] = lambda: None) -> None:
    """Look twice, with something between."""

    async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    async def run() -> None:
        found = Health("wg0", cast(Any, machine), cast(Any, at_once))
        await found.look()
        after()
        await found.look()

    asyncio.run(run())


def raising(error: Exception) -> Callable[[], bool]:
    def judge() -> bool:
        raise error

    return judge


def test_all_is_well(machine: Machine) -> None:
    look(machine)
    assert not machine.closed


@pytest.mark.parametrize(
    "judge",
    [lambda: False, raising(WardgateError("open gate", "wg0", "there is none")), raising(OSError("gone"))],
)
def test_without_a_gate_the_tunnel_is_closed_and_the_gateway_ends(
    machine: Machine, judge: Callable[[], bool]
) -> None:
    with pytest.raises(TunnelLostError, match="no gate guards it"):
        look(machine, after=lambda: setattr(machine, "judge", judge))
    assert machine.closed


def test_a_gate_that_somebody_holds_is_a_problem_and_no_reason_to_close(machine: Machine) -> None:
    machine.judge = raising(LockError("change gate", "wg0", "process 7 holds it", "wait for it"))
    with pytest.raises(LockError):
        look(machine)
    assert not machine.closed


@pytest.mark.parametrize("link", [None, Link("wg0", 8, "wireguard", 1420, True)])
def test_an_interface_that_is_gone_or_another_ends_the_gateway(machine: Machine, link: Link | None) -> None:
    with pytest.raises(TunnelLostError, match="its interface is gone"):
        look(machine, after=lambda: setattr(machine, "link", link))


def test_an_interface_that_is_down_is_a_problem(machine: Machine) -> None:
    machine.link = Link("wg0", 7, "wireguard", 1420, False)
    with pytest.raises(GatewayError, match="is down") as caught:
        look(machine)
    assert not isinstance(caught.value, TunnelLostError)
    assert not machine.closed
