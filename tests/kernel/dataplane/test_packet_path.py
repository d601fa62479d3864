"""The packet path in the kernel, by test runs of the loaded programs."""

from __future__ import annotations

from collections.abc import Iterator

import flow_scenarios
import freshness_scenarios
import pytest
from packet_scenarios import INBOUND_SCENARIOS, POLICIES, SCENARIOS
from planes import KernelPlane
from wardgate.compiler import compile_parsed
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.layout.codes import LinkHeader

pytestmark = pytest.mark.root
LINKS = {"l3": LinkHeader.NONE, "ethernet": LinkHeader.ETHERNET}


@pytest.fixture(scope="module")
def artefacts() -> dict[str, bytes]:
    texts = {**POLICIES, "flows": flow_scenarios.POLICY, "fresh": freshness_scenarios.POLICY}
    return {name: compile_parsed(parse_policy_text(text).policy).data for name, text in texts.items()}


@pytest.fixture(params=[(h, k) for h in ("tc", "xdp") for k in LINKS], ids=lambda pair: "-".join(pair))
def where(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def plane(artefacts: dict[str, bytes], policy: str, where: tuple[str, str]) -> Iterator[KernelPlane]:
    hook, link = where
    plane = KernelPlane(artefacts[policy], hook=hook, link=LINKS[link])
    yield plane
    plane.close()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(plane: KernelPlane, name: str) -> None:
    SCENARIOS[name](plane)


@pytest.mark.parametrize("policy", ["both"])
@pytest.mark.parametrize("name", INBOUND_SCENARIOS)
def test_inbound_scenario(plane: KernelPlane, name: str) -> None:
    INBOUND_SCENARIOS[name](plane)


@pytest.mark.parametrize("policy", ["flows"])
@pytest.mark.parametrize("where", [("tc", "l3"), ("xdp", "l3")], ids="-".join, indirect=True)
@pytest.mark.parametrize("name", flow_scenarios.SCENARIOS)
def test_flow_scenario(plane: KernelPlane, name: str) -> None:
    flow_scenarios.SCENARIOS[name](plane)


@pytest.mark.parametrize("policy", ["fresh"])
@pytest.mark.parametrize("name", freshness_scenarios.SCENARIOS)
def test_freshness_scenario(plane: KernelPlane, name: str) -> None:
    freshness_scenarios.SCENARIOS[name](plane)
