"""Packets in flight get the same judgement from the definition, the interpreter and the kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_packets import conversation, some_devices
from random_policies import USERS, RandomPolicy, policies
from wardgate.cli.kernel_judge import KernelJudge
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.flight import ReferenceJudge
from wardgate.compiler.explain.judgement import addresses_in, hops
from wardgate.compiler.explain.probe import EngineError
from wardgate.compiler.explain.vm_judge import VmJudge
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.layout.codes import Direction, LinkHeader

pytestmark = pytest.mark.root
PACKETS = 150


@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
@given(policies(), st.integers(0, 1 << 32), st.booleans(), st.sampled_from(list(LinkHeader)))
def test_engines_agree(random: RandomPolicy, seed: int, authed: bool, link: LinkHeader) -> None:
    policy = parse_policy_text(random.text).policy
    artefact = compile_parsed(policy, validate=False).data
    vm, reference = VmJudge(artefact, authed=authed), ReferenceJudge(policy, authed=authed)
    devices = some_devices(vm.manifest.tunnel)
    asked = 0
    with KernelJudge(artefact, authed=authed, devices=len(USERS) + 1) as kernel:
        for number, timed in enumerate(conversation(random, devices, seed, PACKETS, link)):
            # The kernel's clock cannot be set.
            frame = replace(timed, time=None)
            ends = addresses_in(frame.data, frame.link)
            for way in hops(*ends, devices) if ends else [(Direction.FROM_DEVICE, None)]:
                try:
                    said = kernel.judge(frame, *way)
                except EngineError:
                    # Too short for a test run. Nobody else sees it either, or they would know its flow.
                    continue
                asked += 1
                assert said == vm.judge(frame, *way) == reference.judge(frame, *way), (number, frame, way)
    assert asked > PACKETS // 2
