"""The real command: exit statuses, JSON, and never a traceback, whatever it is given."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import capture_files
import pytest
from wardgate.compiler.explain import packets
from wardgate.runtime.layout.manifest import FORMAT_VERSION

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OFFICE = EXAMPLES / "office.yaml"
COMMANDS = (
    "compile", "check", "schema", "explain", "diff", "prove", "inspect", "run", "watch", "top", "status",
    "session", "swap", "rollback", "detach",
    "session grant", "session revoke", "session list", "gateway", "gateway policy apply",
)  # fmt: skip
BROKEN_POLICIES = {
    "empty": b"",
    "not a mapping": b"- 1\n",
    "not YAML": b"version: [1\n",
    "not UTF-8": b"version: 1\n# \xff\n",
    "a zero byte": b"version: 1\0\n",
    "a duplicate key": b"version: 1\nversion: 1\n",
    "an unknown key": b"version: 1\nrules: []\n",
    "a newer version": b"version: 2\n",
    "a port of 0": b'version: 1\npolicies: {"*": {allow: ["10.0.0.1 0/tcp"]}}\n',
    "a bad prefix": b'version: 1\npolicies: {"*": {allow: ["10.0.0.0/33"]}}\n',
    "an unknown host": b'version: 1\npolicies: {"*": {allow: ["nowhere"]}}\n',
    "an include that is not there": b"version: 1\ninclude: [nothing.yaml]\n",
    "an include of itself": b"version: 1\ninclude: [policy.yaml]\n",
    "deep nesting": b"version: " + b"[" * 100_000,
    "binary": bytes(range(256)) * 16,
}
QUESTION = ("--as", "alice", "--to", "10.0.0.5", "--service", "443/tcp")


@pytest.fixture(scope="session")
def office(tmp_path_factory, e2e) -> Path:
    """The example's policy, compiled."""
    return e2e.compile_text(OFFICE.read_text(), tmp_path_factory.mktemp("office") / "office.yaml")


def broken_artefacts(data: bytes) -> dict[str, bytes]:
    """Artefacts damaged in ways that a reader could trip over."""
    damaged = {
        "empty": b"",
        "magic only": b"\x7fELF",
        "header only": data[:64],
        "half": data[: len(data) // 2],
        "all but a byte": data[:-1],
        "another machine": data[:18] + b"\x3e\x00" + data[20:],
        "big-endian": data[:5] + b"\x02" + data[6:],
        "32 bits": data[:4] + b"\x01" + data[5:],
        "section headers far away": data[:40] + b"\xff" * 7 + b"\x00" + data[48:],
        "a newer manifest": data.replace(b'"format":%d,' % FORMAT_VERSION, b'"format":9,'),
        "no manifest": data.replace(b".wardgate.manifest\0", b".wardgate.manifezt\0"),
    }
    assert len(set(damaged.values())) == len(damaged)
    return damaged


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(e2e, command):
    done = e2e.run_wardgate(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["compile"], ["compile", "/nowhere.yaml"], ["check", OFFICE, "--frob"],
        ["explain", OFFICE], ["explain", OFFICE, "--as", "alice"],
        ["explain", OFFICE, "--as", "alice", "--to", "10.0.0"],
        ["explain", OFFICE, "--as", "group:engineers", "--to", "10.0.0.5"],
        ["explain", OFFICE, *QUESTION, "--from", "10.0.0.5"],
        ["explain", OFFICE, *QUESTION, "--batch", "-"],
        ["explain", OFFICE, "--as", "alice", "--to", "10.0.0.5", "--service", "web"],
        ["compile", OFFICE, "--backend", "gcc"], ["compile", OFFICE, "--resolve", "x"],
        ["diff", OFFICE], ["diff", OFFICE, "/nowhere.yaml"],
        ["prove", OFFICE], ["prove", OFFICE, ""], ["prove", OFFICE, "never: {as: nobody}"],
        ["prove", OFFICE, "never: ["],
        ["session", "grant", "10.9.0.2"], ["session", "grant", "10.9.0.2", "--for", "soon"],
        ["session", "grant", "nowhere", "--for", "1m"], ["run", OFFICE],
        ["gateway", "nonsense"], ["gateway", "users", "add"], ["gateway", "policy", "apply", "/nowhere.yaml"],
        ["gateway", "policy", "apply", OFFICE], ["gateway", "tokens", "issue", "alice", "--for", "soon"],
        ["gateway", "users", "remove", ".."], ["gateway", "policy", "rollback"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2(e2e, arguments):
    done = e2e.run_wardgate(*arguments, input="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("name", BROKEN_POLICIES)
@pytest.mark.parametrize("command", ["check", "compile", "explain", "diff", "prove"])
def test_broken_policies_are_1(e2e, tmp_path, name, command):
    path = tmp_path / "policy.yaml"
    path.write_bytes(BROKEN_POLICIES[name])
    more = {
        "compile": ["-o", tmp_path / "out.o"],
        "explain": QUESTION,
        "diff": [OFFICE],
        "prove": ["never: {as: '*', to: 10.0.0.5}"],
    }.get(command, [])
    done = e2e.run_wardgate(command, path, *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("policy.yaml:")
    assert ": error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.o").exists()


@pytest.mark.parametrize("name", BROKEN_POLICIES)
def test_broken_policies_as_data(e2e, tmp_path, name):
    path = tmp_path / "policy.yaml"
    path.write_bytes(BROKEN_POLICIES[name])
    done = e2e.run_wardgate("check", path, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["ok"], document["status"]) == (False, 1)
    assert document["diagnostics"][0]["severity"] in ("error", "warning")
    assert {"file", "line", "column", "message", "code"} <= set(document["diagnostics"][0])


@pytest.mark.parametrize("command", ["explain", "diff", "run"])
def test_broken_artefacts_are_3(e2e, tmp_path, office, command):
    for name, data in broken_artefacts(office.read_bytes()).items():
        if command != "run" and not data.startswith(b"\x7fELF"):
            continue  # not an ELF file: it is read as a policy
        path = tmp_path / "broken.o"
        path.write_bytes(data)
        more = {
            "explain": QUESTION,
            "diff": [OFFICE],
            "run": ["--device", "lo", "--devices", EXAMPLES / "devices.yaml"],
        }
        done = e2e.run_wardgate(command, path, *more[command])
        assert (done.returncode, done.stdout) == (3, ""), name
        assert "Traceback" not in done.stderr, name
        assert "help:" in done.stderr, name


def test_failed_tests_and_assertions_are_1(e2e, tmp_path):
    text = OFFICE.read_text().replace("service: 53/udp, expect: allow", "service: 53/udp, expect: deny")
    text = text.replace("never: {as: group:contractors", "never: {as: group:engineers")
    (tmp_path / "p.yaml").write_text(text)
    done = e2e.run_wardgate("check", tmp_path / "p.yaml")
    assert done.returncode == 1
    assert "1 of 8 tests FAILED, 1 of 2 assertions FAILED" in done.stdout
    document = json.loads(e2e.run_wardgate("check", tmp_path / "p.yaml", "--json").stdout)
    assert [test["passed"] for test in document["tests"]].count(False) == 1
    (failed,) = [claim for claim in document["assertions"] if not claim["passed"]]
    assert failed["counterexample"]["as"] in ("alice", "bob")


def test_check_is_fine_with_the_example(e2e):
    done = e2e.run_wardgate("check", OFFICE)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(e2e.run_wardgate("check", OFFICE, "--json").stdout)["ok"]


@pytest.mark.parametrize("form", ["c", "ir", "asm", "tables"])
def test_emit(e2e, tmp_path, form):
    done = e2e.run_wardgate("compile", OFFICE, "--emit", form)
    assert done.returncode == 0, done.stderr
    expected = {"c": "#line", "ir": "define ", "asm": "gate_ingress:", "tables": "protocols"}[form]
    assert expected in done.stdout
    assert str(EXAMPLES) not in done.stdout
    to_file = e2e.run_wardgate("compile", OFFICE, "--emit", form, "-o", tmp_path / "out")
    assert (to_file.returncode, to_file.stdout) == (0, "")
    assert (tmp_path / "out").read_text() == done.stdout


def test_compile_is_reproducible(e2e, tmp_path):
    """Two folders, two seeds for Python's hashes, two time zones: one artefact."""
    made = []
    for number, seed in enumerate(("1", "4242")):
        folder = tmp_path / f"folder{number}" / ("deep" * number or "flat")
        folder.mkdir(parents=True)
        (folder / "office.yaml").write_text(OFFICE.read_text())
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC-{number}", "LC_ALL": "C"}
        done = e2e.run_wardgate("compile", "office.yaml", "-o", "o.o", cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        made.append((folder / "o.o").read_bytes())
    assert made[0] == made[1]
    assert b"folder0" not in made[0]


def queries() -> str:
    """Questions about each user and each kind of destination of the example."""
    remotes = ("10.0.0.5", "10.0.0.80", "10.1.2.3", "fd00::5", "fd00:1::8", "192.0.2.1")
    services = ("22/tcp", "443/tcp", "53/udp", "5005/udp", "icmp", "proto/47")
    asked = [
        {"as": user, direction: remote, "service": service, "authed": authed}
        for user in ("alice", "bob", "carol", "mallory")
        for direction in ("to", "from")
        for remote in remotes
        for service in services
        for authed in (False, True)
    ]
    return "".join(json.dumps(one) + "\n" for one in asked)


@pytest.mark.parametrize("engine", ["reference", "vm", pytest.param("kernel", marks=pytest.mark.root)])
def test_both_backends_and_all_engines_agree(e2e, tmp_path, engine):
    expected = e2e.run_wardgate("explain", OFFICE, "--batch", "-", input=queries())
    assert expected.returncode == 0, expected.stderr
    assert expected.stdout.count("\n") == queries().count("\n")
    if engine == "reference":
        answers = [json.loads(line) for line in expected.stdout.splitlines()]
        assert {answer["verdict"] for answer in answers} == {"allow", "mfa", "deny"}
        return
    for backend in ("llvmlite", "clang"):
        path = tmp_path / f"{backend}.o"
        done = e2e.run_wardgate("compile", OFFICE, "-o", path, "--backend", backend)
        assert done.returncode == 0, done.stderr
        found = e2e.run_wardgate("explain", path, "--engine", engine, "--batch", "-", input=queries())
        assert found.returncode == 0, found.stderr
        assert found.stdout == expected.stdout


def test_explain_shows_every_service(e2e, office):
    asked = ("--as", "carol", "--to", "10.1.2.3")
    of_policy = json.loads(e2e.run_wardgate("explain", OFFICE, *asked, "--json").stdout)
    of_artefact = json.loads(e2e.run_wardgate("explain", office, *asked, "--json").stdout)
    assert of_policy == of_artefact
    assert [(found["services"], found["verdict"]) for found in of_policy["answers"]] == [
        (["80/tcp", "443/tcp", "5000-5010/udp"], "mfa"),
        (["22/tcp"], "deny"),
        (
            ["0-21/tcp", "23-79/tcp", "81-442/tcp", "444-65535/tcp", "0-4999/udp", "5011-65535/udp",
             "sctp", "icmp", "other protocols"],
            "deny",
        ),
    ]  # fmt: skip
    text = e2e.run_wardgate("explain", OFFICE, *asked).stdout
    assert text.splitlines()[0] == "carol to 10.1.2.3, no session, bucket 10.1.0.0/16"
    assert max(map(len, text.splitlines())) <= 80


def test_what_the_documentation_shows(e2e, tmp_path):
    """Each example of docs/explain.md prints what the page says; of a trace, what does not change with each
    edit of a template or table."""
    for name in ("office.yaml", "devices.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    denied, question = (
        packets.opening("10.9.0.4", "10.1.2.3", 6, 22), packets.opening("10.9.0.2", "10.0.0.53", 17, 53),
    )  # fmt: skip
    captured = [denied, question, packets.reply(question), denied[:12]]
    records = [(packet, len(packet), number) for number, packet in enumerate(captured)]
    (tmp_path / "tunnel.pcap").write_bytes(capture_files.pcap(101, records))
    blocks = (EXAMPLES.parent / "docs" / "explain.md").read_text().split("```\n$ wardgate ")[1:]
    assert len(blocks) == 4
    for block in blocks:
        command, _, expected = block.partition("\n```")[0].partition("\n")
        done = e2e.run_wardgate(*command.split(), cwd=tmp_path)
        said = (done.stdout + done.stderr).rstrip("\n")
        if "--trace" in command:
            # The kernel's answer is there for root.
            said, expected = (
                re.sub(r"\d+", "0", text.partition("\nengines")[0]) for text in (said, expected)
            )
            said, expected = (re.sub(r" +", " ", text) for text in (said, expected))
        assert said == expected


def test_the_reference_needs_a_policy(e2e, office):
    done = e2e.run_wardgate("explain", office, *QUESTION, "--engine", "reference")
    assert done.returncode == 2
    assert "needs the policy" in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "<stdin>:2: not JSON"),
        ("[]", "<stdin>:2: a query is an object"),
        ('{"as": "alice", "to": "10.0.0.5", "service": "web"}', "<stdin>:2: "),
        ('{"as": "alice", "to": "10.0.0.5", "frob": 1}', "frob"),
    ],
)
def test_bad_lines_of_a_batch(e2e, line, words):
    good = '{"as": "alice", "to": "10.0.0.5"}\n'
    done = e2e.run_wardgate("explain", OFFICE, "--batch", "-", input=good + line + "\n")
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_batch_that_is_not_utf8(e2e, tmp_path):
    (tmp_path / "batch").write_bytes(b'{"as": "\xff"}\n')
    done = e2e.run_wardgate("explain", OFFICE, "--batch", tmp_path / "batch")
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr


def test_what_cannot_be_written_loses_nothing(e2e, tmp_path):
    done = e2e.run_wardgate("compile", OFFICE, "-o", tmp_path / "nowhere" / "o.o")
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    done = e2e.run_wardgate("compile", OFFICE, "-o", tmp_path)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    old = tmp_path / "old.o"
    old.write_bytes(b"old")
    broken = tmp_path / "p.yaml"
    broken.write_bytes(b"version: 2\n")
    assert e2e.run_wardgate("compile", broken, "-o", old).returncode == 1
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.o", "p.yaml"]


def test_a_full_disk(e2e):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [e2e.WARDGATE, "explain", OFFICE, *QUESTION], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_reads_stdout(e2e):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [e2e.WARDGATE, "explain", OFFICE, "--batch", "-"], stdout=writer, stderr=subprocess.PIPE,
            input=queries() * 50, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_interrupted(e2e):
    asking = subprocess.Popen(
        [e2e.WARDGATE, "explain", OFFICE, "--batch", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that starts the tests in the background has them ignore it, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    asking.stdin.write("".join(queries().splitlines(keepends=True)[:100]))
    asking.stdin.flush()
    asking.stdout.readline()  # it is at work, and waits for more
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=60)
    assert asking.returncode == 128 + signal.SIGINT
    assert said == "wardgate: interrupted\n"


@pytest.mark.root
@pytest.mark.tool("unshare", "setpriv", "ip")
@pytest.mark.parametrize(
    ("unshare", "setpriv", "words"),
    [
        (("--net",), "setpriv --bounding-set=-all --inh-caps=-all", "CAP_"),
        (("--net", "--user", "--map-root-user"), "", "user namespace"),
    ],
)
def test_run_says_which_privilege_is_missing(e2e, office, unshare, setpriv, words):
    run = f"{e2e.WARDGATE} run {office} --device tun0 --devices {EXAMPLES / 'devices.yaml'}"
    done = subprocess.run(
        ["unshare", *unshare, "sh", "-c", f"ip tuntap add mode tun name tun0 && exec {setpriv} {run}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.root
@pytest.mark.tool("unshare", "ip")
def test_which_gate(e2e, tmp_path, office):
    """The only gate needs no name; of several, one must be named; of none, there is none."""
    devices = EXAMPLES / "devices.yaml"
    run = f"{e2e.WARDGATE} run {office} --devices {devices} --detach-after-load"
    script = f"""
        set -e
        mount --make-rprivate /
        mount -t bpf bpf /sys/fs/bpf
        cd {tmp_path}
        {e2e.WARDGATE} status 2> none || echo "none $?"
        ip tuntap add mode tun name tun0
        {run} --device tun0 --name a
        {e2e.WARDGATE} session grant 10.9.0.2 --for 10m
        ip tuntap add mode tun name tun1
        {run} --device tun1 --name b
        {e2e.WARDGATE} status 2> both || echo "both $?"
        {e2e.WARDGATE} detach --name a
        {e2e.WARDGATE} session list
        {e2e.WARDGATE} detach
    """
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:3] == ["none 3", "granted: alice (10.9.0.2 fd09::2) for 10m", "both 2"]
    assert said[3].startswith("a: detached")
    assert said[4].split() == ["user", "session", "left", "idle", "limit", "login", "addresses"]
    assert [line.split()[:2] for line in said[5:8]] == [["alice", "none"], ["bob", "none"], ["carol", "none"]]
    assert said[8].startswith("b: detached")
    assert "there is no gate on this machine" in (tmp_path / "none").read_text()
    assert "there are 2 gates on this machine: a, b" in (tmp_path / "both").read_text()


def test_run_needs_no_compiler(tmp_path):
    """An appliance has the runtime alone; and what a pipeline uses needs no netlink. Assertions are proved
    with numpy; all else that check does works without the compiler's extra."""
    unclaimed = tmp_path / "unclaimed.yaml"
    unclaimed.write_text(OFFICE.read_text().partition("\nassertions:")[0])
    script = "import sys; from wardgate.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    for arguments, unwanted in (
        (["run", "--help"], ("wardgate.compiler", "llvmlite", "pyroute2")),
        (["status", "--help"], ("wardgate.compiler", "llvmlite", "pyroute2", "yaml")),
        (["session", "grant", "--help"], ("wardgate.compiler", "llvmlite", "pyroute2", "yaml")),
        (["check", str(OFFICE)], ("wardgate.runtime.gate", "llvmlite", "pyroute2")),
        (["check", str(unclaimed)], ("wardgate.runtime.gate", "llvmlite", "numpy", "pyroute2")),
        (["schema"], ("wardgate.runtime.gate", "llvmlite", "numpy", "pyroute2")),
        (["explain", str(OFFICE), *QUESTION], ("wardgate.runtime.gate", "llvmlite", "pyroute2")),
        (["diff", str(OFFICE), str(OFFICE)], ("wardgate.runtime.gate", "llvmlite", "pyroute2")),
        (["--help"], ("wardgate.compiler", "wardgate.runtime", "yaml", "llvmlite", "pyroute2")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
        )
        loaded = done.stdout.split()
        assert [name for name in unwanted if name in loaded] == [], arguments


def test_a_stream_that_fails_is_one_line(e2e, tmp_path):
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"no ELF")
    words = ["run", broken, "--device", "none0", "--devices", EXAMPLES / "devices.yaml", "--json"]
    done = subprocess.run([e2e.WARDGATE, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["ok"] is False
