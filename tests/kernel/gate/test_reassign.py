"""Users who get another class of the loaded policy, from the policy's text to packets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wardgate.compiler import Recompiler
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.gate import Gate
from wardgate.runtime.pins import GatePins
from wardgate.runtime.reassign import ReassignError
from wardgate.runtime.sessions import SessionState

pytestmark = pytest.mark.root

# 10.77.0.1 is the gateway's own address, which the client sends to.
POLICY = """\
version: 1
tunnel: [10.77.0.0/24]
groups:
  group:staff: [ann]
  group:ops: [olaf]
policies:
  group:staff: {{allow: ["10.77.0.1 7000/udp"]}}
  group:ops: {{mfa: ["10.77.0.1 7000/udp"]}}
{more}"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "office.yaml"
    found.write_text(POLICY.format(more=""))
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_edited_group_is_enforced_without_another_generation(net, gate_name, path: Path) -> None:
    recompiler = Recompiler(path)
    with net.at_gateway():
        gate = Gate.create_or_adopt(recompiler.compile().artefact.data, device=net.device, name=gate_name)
        gate.set_devices([DeviceSpec.of("alice", net.CLIENT), DeviceSpec.of("olaf", net.SECOND)])
        gate.sessions.grant(net.CLIENT, 600)
        gate.sessions.grant(net.SECOND, 600)
        assert not net.from_device(wait=net.BRIEFLY)
        assert net.from_device(net.SECOND)
        programs = set((GatePins(gate_name).generations / "1").iterdir())

        edit(path, "staff: [ann]", "staff: [ann, alice]")
        change = recompiler.compile()
        assert change.artefact is None
        assert gate.reassign(change.manifest) == ["alice"]
        assert net.from_device()
        assert gate.status().generation == 1
        assert set((GatePins(gate_name).generations / "1").iterdir()) == programs
        assert gate.status().digest == change.manifest.digest

        # From allow to mfa: the session that was there lets pass, and none does not.
        edit(path, "staff: [ann, alice]", "staff: [ann]")
        edit(path, "ops: [olaf]", "ops: [alice]")
        assert gate.reassign(recompiler.compile().manifest) == ["alice", "olaf"]
        assert net.from_device()
        assert not net.from_device(net.SECOND, wait=net.BRIEFLY)
        gate.sessions.revoke(net.CLIENT)
        assert not net.from_device(wait=net.BRIEFLY)
        assert gate.sessions.get(net.SECOND).state is SessionState.AUTHORISED


def test_a_rollback_goes_where_it_went_before(net, gate_name, path: Path) -> None:
    recompiler = Recompiler(path)
    with net.at_gateway():
        gate = Gate.create_or_adopt(recompiler.compile().artefact.data, device=net.device, name=gate_name)
        gate.set_devices([DeviceSpec.of("alice", net.CLIENT)])
        path.write_text(POLICY.format(more='  alice: {deny: ["10.77.0.1"]}\n'))
        gate.swap(recompiler.compile().artefact.data)
        edit(path, "staff: [ann]", "staff: [ann, bea]")
        gate.reassign(recompiler.compile().manifest)
        gate.rollback()
        assert "bea" not in gate.manifest().subjects
        gate.rollback()
        assert gate.manifest().class_of("bea") == gate.manifest().class_of("ann")


def test_what_is_not_about_the_loaded_policy_is_refused(net, gate_name, path: Path) -> None:
    recompiler = Recompiler(path)
    with net.at_gateway():
        first = recompiler.compile().artefact
        gate = Gate.create_or_adopt(first.data, device=net.device, name=gate_name)
        gate.set_devices([DeviceSpec.of("ann", net.CLIENT)])
        assert net.from_device()
        edit(path, "7000/udp", "7001/udp")
        second = recompiler.compile().artefact.manifest
        others = [
            second,
            # The same but for the content of its tables: another compile, whose classes are others.
            replace(first.manifest, tables_digest=second.tables_digest),
            replace(first.manifest, subjects={"ann": first.manifest.classes}),
            replace(first.manifest, subjects={"ann": 0}),
        ]
        for other in others:
            with pytest.raises(ReassignError, match="swap to it"):
                gate.reassign(other)
            assert gate.manifest() == first.manifest
            assert net.from_device()
