"""What all tests share: when a test is skipped, how hypothesis runs, and that nothing is left behind.

Markers:
- `root`: needs root with the capabilities that loading and namespaces take, and a BPF file system.
- `tool(name, ...)`: needs these commands.
- `allow_skip(reason)`: may be skipped in CI too, where any other skip is a failure (WARDGATE_CI=1).

Names of what a test makes outside its process (pins, namespaces, interfaces) contain the process id.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import kept_objects
import pytest
import sharing_out
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("WARDGATE_CI") == "1"
BPF_FOLDER = Path("/sys/fs/bpf")
PINNED = ("wardgate", "wardgate-roaming")
NAMED_NAMESPACES = Path("/run/netns")
WIREGUARD_SOCKETS = Path("/var/run/wireguard")
SYSTEM_TOOLS = ("/usr/sbin", "/sbin")
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_BPF": 39}

# No deadlines: how long an example takes says more of the machine than of the code. In CI the examples
# are the same each time, so that a failure there is one everywhere.
settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=60, derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if IN_CI else "dev")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, make the system's tools found, and remember what is there before the tests."""
    for line in (
        "root: needs root and a BPF file system",
        "tool(name, ...): needs these commands",
        "allow_skip(reason): may be skipped in CI too",
    ):
        config.addinivalue_line("markers", line)
    # A user's PATH may lack them, and some (bpftool, ip) do things that need no privilege.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *SYSTEM_TOOLS]))
    config.stash[_PIDS] = {os.getpid()}
    config.stash[_BEFORE] = _traces()
    config.stash[_LEFT] = []


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, with the reason."""
    if any(item.iter_markers("root")) and (reason := _why_not_privileged()):
        pytest.skip(reason)
    names = [name for marker in item.iter_markers("tool") for name in marker.args]
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which is not installed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    items.sort(key=lambda item: sharing_out.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep modules together."""
    return sharing_out.ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a skip is a failure: everything that a test needs is installed there."""
    report = yield
    expected = hasattr(report, "wasxfail") or any(item.iter_markers("allow_skip"))
    if IN_CI and report.skipped and not expected:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    if IN_CI and report.skipped:
        _fail(report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Learn which processes the tests ran in, for the names of what they may have left."""
    output: dict[str, int] = getattr(node, "workeroutput", {})
    if "pid" in output:
        node.config.stash[_PIDS].add(output["pid"])  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a test left a pin, a namespace, an interface or a daemon of wireguard-go."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["pid"] = os.getpid()
        return
    pids = {str(pid) for pid in config.stash[_PIDS]}
    left = [
        name
        for name in sorted(_traces() - config.stash[_BEFORE])
        if pids & set(re.findall(r"\d+", name.rpartition("/")[2]))
    ]
    if left:
        config.stash[_LEFT].extend(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left."""
    left = terminalreporter.config.stash[_LEFT]
    if left:
        terminalreporter.section("left behind by tests", red=True)
        for name in left:
            terminalreporter.line(name)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of the project."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def _kept_objects(shared_folder: Path) -> None:
    """What one test has compiled, no other one compiles again."""
    kept_objects.install(shared_folder / "kept-objects")


_PIDS = pytest.StashKey[set[int]]()
_BEFORE = pytest.StashKey[set[str]]()
_LEFT = pytest.StashKey[list[str]]()


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"skipped in CI, where it must run: {reason}"


def _why_not_privileged() -> str:
    """Why a test that needs root cannot run, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    status = Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)[1], 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    if lacking:
        return f"needs {', '.join(lacking)}, which this root does not have"
    if not _bpf_mounted():
        subprocess.run(["/bin/mount", "-t", "bpf", "bpf", str(BPF_FOLDER)], check=False, capture_output=True)
    return "" if _bpf_mounted() else f"needs a BPF file system on {BPF_FOLDER}"


def _bpf_mounted() -> bool:
    mounts = Path("/proc/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [str(BPF_FOLDER), "bpf"] for line in mounts)


def _traces() -> set[str]:
    """Pins, named namespaces, interfaces and wireguard-go's sockets that are there now."""
    found = {f"interface /{path.name}" for path in Path("/sys/class/net").iterdir()}
    pinned = [BPF_FOLDER / name for name in PINNED]
    for folder in (BPF_FOLDER, *pinned, NAMED_NAMESPACES, WIREGUARD_SOCKETS):
        try:
            found.update(str(path) for path in folder.iterdir())
        except OSError:
            continue
    return found
