"""The engine that asks the kernel holds nothing longer than it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler import compile_parsed
from wardgate.compiler.explain.probe import EngineError
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language import parse_policy_text
from wardgate.runtime.errors import WardgateError

pytestmark = pytest.mark.root

POLICY = """\
version: 1
tunnel: [10.9.0.0/16]
policies:
  "*":
    allow: ["10.0.0.53 53/udp"]
    mfa: ["10.1.0.0/16"]
"""


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return compile_parsed(parse_policy_text(POLICY).policy).data


def test_a_query_leaves_nothing_to_the_next(artefact: bytes) -> None:
    with KernelEngine(artefact) as kernel:
        assert kernel.answer(Query.parse("alice", "10.0.0.53", "53/udp")).passes
        # The reply of that flow: same addresses, same ports.
        assert not kernel.answer(Query.parse("alice", "10.0.0.53", "40000/udp", inbound=True)).passes
        assert kernel.answer(Query.parse("alice", "10.1.0.1", "proto/47", authed=True)).passes
        assert not kernel.answer(Query.parse("alice", "10.1.0.1", "proto/47", inbound=True)).passes
        assert not kernel.answer(Query.parse("alice", "10.1.0.1", "proto/47")).passes


def test_closing_gives_back_every_descriptor(artefact: bytes) -> None:
    before = descriptors()
    with KernelEngine(artefact) as kernel:
        assert len(descriptors()) > len(before)
        kernel.answer(Query.parse("alice", "10.0.0.53", "53/udp"))
    assert descriptors() == before


def test_what_is_no_artefact(artefact: bytes) -> None:
    before = descriptors()
    with pytest.raises(WardgateError):
        KernelEngine(artefact[:1000])
    with pytest.raises(EngineError, match="no manifest"):
        KernelEngine(artefact.replace(b".wardgate.manifest", b".wardgate.manifes_"))
    assert descriptors() == before
