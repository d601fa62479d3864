"""Forwarding is switched on without a trap, and everything is put back, whoever was killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from wardgate.gateway.network import forwarding
from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.forwarding import Forwarding, read_forwarding

pytestmark = pytest.mark.usefixtures("alone")


def everything() -> dict[str, str]:
    """All settings of all interfaces."""
    found = {"ipv4/ip_forward": Path("/proc/sys/net/ipv4/ip_forward").read_text()}
    for family in ("ipv4", "ipv6"):
        for path in Path(f"/proc/sys/net/{family}/conf").rglob("*"):
            if path.is_file() and path.name != "stable_secret":
                found[str(path)] = path.read_text()
    return found


def test_what_is_off_is_told(system):
    assert read_forwarding().forwards == {4: False, 6: False}
    system.write("ipv4/ip_forward", "1")
    assert read_forwarding().forwards == {4: True, 6: False}
    system.write("ipv6/conf/all/forwarding", "1")
    assert read_forwarding().forwards == {4: True, 6: True}


def test_strict_interfaces_are_told(system):
    system.write("ipv4/conf/all/rp_filter", "0")
    for name in ("eth", "tunnel", "lo"):
        system.write(f"ipv4/conf/{name}/rp_filter", "0")
    assert read_forwarding().strict == ()
    system.write("ipv4/conf/eth/rp_filter", "1")
    assert read_forwarding().strict == ("eth",)
    system.write("ipv4/conf/all/rp_filter", "2")
    assert read_forwarding().strict == (), "the higher one counts, and 2 is loose"


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)])
def test_packets_pass_and_everything_is_put_back(alone, state_file, versions):
    before = everything()
    first = Forwarding(state_file)
    assert len(first.enable(versions)) == len(versions)
    assert [version for version, on in read_forwarding().forwards.items() if on] == list(versions)
    for version in versions:
        assert alone.source_seen(version) in ("10.9.0.2", "fd09::2")
    assert first.enable(versions) == ()
    assert Forwarding(state_file).restore()
    assert everything() == before
    assert not state_file.exists()
    assert Forwarding(state_file).restore() == ()


def test_settings_of_single_interfaces_are_put_back_too(state_file, system):
    system.write("ipv4/conf/eth/forwarding", "1")
    system.write("ipv6/conf/tunnel/forwarding", "1")
    system.write("ipv4/conf/all/accept_redirects", "0")
    before = everything()
    made = Forwarding(state_file)
    made.enable((4, 6))
    made.restore()
    assert everything() == before


def test_what_was_on_is_not_ours(state_file, system):
    system.write("ipv4/ip_forward", "1")
    made = Forwarding(state_file)
    assert made.enable((4,)) == ()
    assert not state_file.exists()
    made.restore()
    assert system.read("ipv4/ip_forward") == "1"


def test_what_somebody_else_changed_since_stays(state_file, system):
    made = Forwarding(state_file)
    made.enable((4, 6))
    system.write("ipv6/conf/all/forwarding", "0")
    system.write("ipv4/conf/eth/forwarding", "0")
    made.restore()
    assert system.read("ipv4/ip_forward") == "0"
    assert system.read("ipv4/conf/eth/forwarding") == "0"
    assert system.read("ipv6/conf/all/forwarding") == "0"


def test_a_setting_with_a_third_value_was_somebody_elses_last(state_file, system):
    system.run("ip", "route", "add", "default", "via", "2001:db8::2", "dev", "eth", "proto", "ra")
    system.write("ipv6/conf/eth/accept_ra", "1")
    made = Forwarding(state_file)
    made.enable((6,))
    system.write("ipv6/conf/eth/accept_ra", "0")
    made.restore()
    assert Path("/proc/sys/net/ipv6/conf/eth/accept_ra").read_text() == "0\n"


def test_what_was_switched_on_one_after_the_other_is_put_back_together(state_file):
    before = everything()
    for version in (4, 6):
        Forwarding(state_file).enable((version,))
    Forwarding(state_file).restore()
    assert everything() == before


def test_a_process_that_was_killed(state_file):
    before = everything()
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from wardgate.gateway.network.forwarding import Forwarding\n"
        "Forwarding(Path(sys.argv[1])).enable((4, 6))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(state_file)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_forwarding().forwards == {4: True, 6: True}
    # The next one finds all as it should be, and still knows what it was.
    again = Forwarding(state_file)
    assert again.enable((4, 6)) == ()
    again.restore()
    assert everything() == before


def test_killed_between_remembering_and_writing(state_file, monkeypatch):
    before = everything()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forwarding, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            Forwarding(state_file).enable((4, 6))
    assert state_file.exists()
    assert everything() == before
    made = Forwarding(state_file)
    made.enable((4,))
    made.restore()
    assert everything() == before


@pytest.mark.parametrize("what", [{"boot": "another"}, {"namespace": 1}])
def test_a_file_about_another_boot_or_namespace(state_file, system, what):
    made = Forwarding(state_file)
    made.enable((4,))
    document = json.loads(state_file.read_text())
    document["where"] |= what
    state_file.write_text(json.dumps(document))
    assert made.restore() == ()
    assert system.read("ipv4/ip_forward") == "1"
    assert not state_file.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"where": {}, "settings": [{"path": 1}]}'])
def test_a_damaged_file(state_file, text):
    state_file.parent.mkdir()
    state_file.write_text(text)
    with pytest.raises(NetworkError, match=str(state_file)) as caught:
        Forwarding(state_file).restore()
    assert "remove the file" in caught.value.remedy


def test_a_place_that_cannot_be_written(tmp_path, system):
    (tmp_path / "file").write_text("")
    with pytest.raises(NetworkError, match="settings to put back"):
        Forwarding(tmp_path / "file" / "settings.json").enable((4,))
    assert system.read("ipv4/ip_forward") == "0", "what can't be remembered is not done"


def test_settings_that_cannot_be_written(state_file, tmp_path, monkeypatch):
    monkeypatch.setattr(forwarding, "_FOLDER", tmp_path)
    (tmp_path / "ipv4/conf/all").mkdir(parents=True)
    (tmp_path / "ipv4/conf/default").mkdir(parents=True)
    (tmp_path / "ipv4/conf/default/forwarding").write_text("0")
    (tmp_path / "ipv4/conf/all/accept_redirects").write_text("0")
    (tmp_path / "ipv4/ip_forward").write_text("0")

    def write(path, _value):
        raise OSError(30, os.strerror(30), path)

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(NetworkError, match="Read-only file system") as caught:
        Forwarding(state_file).enable((4,))
    assert "sysctl -w net.ipv4.ip_forward=1" in caught.value.remedy
    with pytest.raises(NetworkError, match="no IPv6"):
        Forwarding(state_file).enable((6,))


def test_advertised_routes_stay(state_file, system):
    """The kernel would forget them, and the gateway would lose its way to IPv6."""
    system.run("ip", "route", "add", "default", "via", "2001:db8::2", "dev", "eth", "proto", "ra")
    system.write("ipv6/conf/eth/accept_ra", "1")
    before = everything()
    assert read_forwarding().advertised == ("eth",)
    made = Forwarding(state_file)
    made.enable((6,))
    assert system.read("ipv6/conf/eth/accept_ra") == "2"
    assert system.read("ipv6/conf/tunnel/accept_ra") != "2"
    made.restore()
    assert everything() == before
    system.write("ipv6/conf/eth/accept_ra", "2")
    assert read_forwarding().advertised == ()
