"""`explain --packet` and `--pcap`: a line or a document a packet, and no traceback whatever the file."""

from __future__ import annotations

import json
from pathlib import Path

import capture_files as files
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from wardgate.cli.commands.explain import explain_command
from wardgate.cli.console import Console
from wardgate.cli.failures import CommandError
from wardgate.compiler.explain import packets

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
OFFICE, DEVICES = str(EXAMPLES / "office.yaml"), str(EXAMPLES / "devices.yaml")
DENIED = packets.opening("10.9.0.4", "10.1.2.3", 6, 22)
QUESTION = packets.opening("10.9.0.2", "10.0.0.53", 17, 53)
SECOND = 10**9
ENGINES = ("reference", "vm")


def explain(*words: object, standalone: bool = False) -> Result:
    arguments = [OFFICE, *map(str, words)]
    return CliRunner().invoke(explain_command, arguments, obj=Console(), standalone_mode=standalone)


def capture(path: Path, *frames: bytes, link: int = 101) -> Path:
    records = [(frame, len(frame), number * SECOND) for number, frame in enumerate(frames)]
    path.write_bytes(files.pcap(link, records))
    return path


def test_a_line_a_packet(tmp_path: Path) -> None:
    """The answer passes since its question did; what cannot be judged does not end the others."""
    answer = packets.reply(QUESTION)
    path = capture(tmp_path / "a.pcap", answer, DENIED, QUESTION, answer, DENIED[:12], b"\x60")
    said = explain("--pcap", path, "--devices", DEVICES)
    assert said.exception is None
    assert said.stdout.splitlines() == [
        "     1  DROP  alice 10.0.0.53 -> 10.9.0.2 40000/udp: no flow",
        '     2  DROP  carol 10.9.0.4 -> 10.1.2.3 22/tcp: deny rule, office.yaml:36:13 "lab ssh"',
        '     3  pass  alice 10.9.0.2 -> 10.0.0.53 53/udp: office.yaml:27:9 "dns names"',
        '     4  pass  alice 10.0.0.53 -> 10.9.0.2 40000/udp (reply): office.yaml:27:9 "dns names"',
        "     5  DROP  a packet: malformed (it ends after 12 bytes, inside a header)",
        "     6  DROP  a packet: malformed (it ends after 1 bytes, inside a header)",
    ]
    assert said.stderr == "6 packets: 2 pass, 4 dropped\n"


def test_flows_end_by_the_packets_times(tmp_path: Path) -> None:
    answer = packets.reply(QUESTION)
    records = [(QUESTION, len(QUESTION), 0), *((answer, len(answer), s * SECOND) for s in (180, 361))]
    path = tmp_path / "a.pcap"
    path.write_bytes(files.pcap(101, records))
    for engine in ("reference", "vm"):
        said = explain("--pcap", path, "--devices", DEVICES, "--engine", engine).stdout.splitlines()
        assert [line.split()[1] for line in said] == ["pass", "pass", "DROP"]


def test_documents(tmp_path: Path) -> None:
    path = capture(tmp_path / "e.pcap", packets.ethernet(DENIED), packets.ethernet(DENIED, 0x0806), link=1)
    said = explain("--pcap", path, "--as", "carol", "--json", "--authed")
    first, second = map(json.loads, said.stdout.splitlines())
    assert (first["number"], first["user"], first["reason"], first["pass"]) == (
        1,
        "carol",
        "deny rule",
        False,
    )
    assert first["rule"] == {"file": "office.yaml", "line": 36, "column": 13, "text": "lab ssh"}
    assert (first["source"], first["service"], first["length"]) == ("10.9.0.4", "22/tcp", len(DENIED))
    assert (second["pass"], second["reason"], second["verdict"]) == (True, "link local", None)


def test_cut_packets_are_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(files.pcap(101, [(DENIED[:24], len(DENIED), 0), (QUESTION[:28], len(QUESTION), 0)]))
    for engine in ("reference", "vm"):
        said = explain("--pcap", path, "--devices", DEVICES, "--engine", engine).stdout.splitlines()
        assert "not judged: the capture has 24 of 40 bytes" in said[0]
        assert "pass  alice" in said[1]


def test_a_broken_file_says_so_after_what_was_fine(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcap", DENIED, QUESTION)
    path.write_bytes(path.read_bytes()[:-3])
    said = explain("--pcap", path, "--devices", DEVICES)
    assert len(said.stdout.splitlines()) == 1
    assert isinstance(said.exception, CommandError)
    assert str(said.exception).endswith("inside packet 2")
    assert said.exception.status == 2


def test_a_policy_without_a_tunnel_needs_devices(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text('version: 1\npolicies: {"*": {allow: ["10.0.0.53"]}}\n')
    words = [str(policy), "--packet", QUESTION.hex()]
    unknown = CliRunner().invoke(
        explain_command, [*words, "--as", "alice"], obj=Console(), standalone_mode=False
    )
    assert isinstance(unknown.exception, CommandError)
    assert unknown.exception.remedy == "give --devices FILE"
    known = CliRunner().invoke(explain_command, [*words, "--devices", DEVICES], obj=Console())
    assert "fate     pass" in known.stdout


def test_one_packet() -> None:
    said = explain("--packet", packets.ethernet(DENIED).hex(" "), "--as", "carol")
    assert said.stdout.splitlines()[0] == "packet   10.9.0.4 -> 10.1.2.3 22/tcp, 40 bytes"
    assert 'rule     office.yaml:36:13 "lab ssh"' in said.stdout
    unclear = explain("--packet", DENIED[:30].hex(), "--as", "carol")
    assert isinstance(unclear.exception, CommandError)
    assert "--link" in str(unclear.exception)
    clear = explain("--packet", DENIED[:30].hex(), "--as", "carol", "--link", "ip")
    assert "drop: malformed (it has a header of 20 and a length of 40 in 30 bytes)" in clear.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--packet", "45"],
        ["--packet", "45", "--as", "alice", "--to", "10.0.0.5"],
        ["--packet", "45", "--as", "alice", "--devices", DEVICES],
        ["--packet", "45", "--as", "alice", "--pcap", DEVICES],
        ["--packet", "45", "--as", "alice", "--trace"],
        ["--pcap", DEVICES, "--as", "alice", "--link", "ip"],
        ["--as", "alice", "--to", "10.0.0.5", "--devices", DEVICES],
    ],
)
def test_usage(words: list[str]) -> None:
    assert explain(*words, standalone=True).exit_code == 2


@settings(max_examples=60)
@given(
    st.binary(max_size=120), st.sampled_from([0, 1, 101, 113, 276, 7]), st.sampled_from(["reference", "vm"])
)
def test_any_bytes_get_a_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, link: int, engine: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.pcap"
    path.write_bytes(files.pcap(link, [(data, len(data) + 7 * (len(data) % 2), SECOND)]))
    source = ARTEFACTS.setdefault("office", _compiled(tmp_path_factory)) if engine == "vm" else OFFICE
    words = [str(source), "--pcap", str(path), "--devices", DEVICES, "--engine", engine, "--json"]
    said = CliRunner().invoke(explain_command, words, obj=Console(), standalone_mode=False)
    assert said.exception is None
    (line,) = said.stdout.splitlines()
    assert json.loads(line)["pass"] in (True, False, None)


ARTEFACTS: dict[str, Path] = {}


def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "office" in ARTEFACTS:
        return ARTEFACTS["office"]
    from wardgate.compiler import compile_policy

    path = tmp_path_factory.mktemp("office") / "office.o"
    path.write_bytes(compile_policy(EXAMPLES / "office.yaml", validate=False).data)
    return path
