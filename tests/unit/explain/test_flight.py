"""Packets in flight: the definition, and the artefact's own instructions on the same bytes."""

from __future__ import annotations

import json

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_packets import conversation, some_devices
from random_policies import RandomPolicy, policies
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.flight import ReferenceJudge
from wardgate.compiler.explain.judgement import addresses_in, hops
from wardgate.compiler.explain.vm_judge import VmJudge
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.layout.codes import Direction, LinkHeader, Reason

PACKETS = 150
EVERYTHING = {
    "version": 1,
    "tunnel": ["10.9.0.0/24", "fd09::/64"],
    "policies": {
        "*": {
            "allow": ["10.0.0.0/24 udp", "fd00::/64 80/tcp", "10.0.0.0/25"],
            "mfa": ["10.0.1.0/24"],
            "deny": ["10.0.0.0/24 80/tcp"],
        }
    },
    "inbound": {"*": {"allow": ["10.0.0.0/24 53/any"]}},
}


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
@given(policies(), st.integers(0, 1 << 32), st.booleans(), st.sampled_from(list(LinkHeader)))
def test_the_definition_and_the_interpreter_agree(
    random: RandomPolicy, seed: int, authed: bool, link: LinkHeader
) -> None:
    policy = parse_policy_text(random.text).policy
    compiled = compile_parsed(policy, validate=False).data
    vm = VmJudge(compiled, authed=authed)
    devices = some_devices(vm.manifest.tunnel)
    reference = ReferenceJudge(policy, authed=authed)
    for number, frame in enumerate(conversation(random, devices, seed, PACKETS, link)):
        ends = addresses_in(frame.data, frame.link)
        ways = hops(*ends, devices) if ends else [(Direction.FROM_DEVICE, None)]
        for way in ways:
            assert vm.judge(frame, *way) == reference.judge(frame, *way), (number, frame, way)


def test_random_packets_reach_every_reason() -> None:
    """What the packets above are like: they meet each reason that an engine without a session has."""
    seen = set()
    text = json.dumps(EVERYTHING)
    policy = parse_policy_text(text).policy
    prefixes = tuple(prefix for rule in policy.rules for prefix in rule.destinations)
    random = RandomPolicy(text, prefixes, (53, 80), (47,), inbound=True)
    devices = some_devices(("10.9.0.0/24", "fd09::/64"))
    reference = ReferenceJudge(policy, authed=False)
    for frame in conversation(random, devices, 1, 1500, LinkHeader.ETHERNET):
        ends = addresses_in(frame.data, frame.link)
        for way in hops(*ends, devices) if ends else [(Direction.FROM_DEVICE, None)]:
            said = reference.judge(frame, *way)
            seen.add("link local" if said.link_local else said.reason)
    sessions = {Reason.LOCKED, Reason.SESSION_EXPIRED, Reason.IDLE, Reason.LOGIN_TOO_OLD}
    assert seen == {*Reason, "link local"} - sessions
