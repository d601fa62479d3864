"""What each kernel's guest saw: it is booted once, whatever the number of tests and of their processes."""

from __future__ import annotations

import fcntl
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hypothesis import HealthCheck, Phase, given, seed, settings
from kernelvm.cache import kernel_cache
from kernelvm.files import TOP
from kernelvm.machine import GuestError, Task, run
from kernelvm.packages import KernelUnavailableError, prepare
from random_policies import RandomPolicy, policies, queries
from rejected_programs import CASES, SLOW, compile_cases
from wardgate.compiler import compile_parsed, compile_policy
from wardgate.compiler.backend import BACKENDS
from wardgate.compiler.explain.engines import ReferenceEngine
from wardgate.compiler.language import parse_policy_text
from wardgate.gateway.compiling.programs import compile_program
from wardgate.gateway.roaming.sources import fentry_source

SERIES = ("6.1", "6.12")
"""Debian 12's kernel, the oldest one that is supported, and Debian 13's."""
POLICIES = (*sorted(Path(__file__).with_name("policies").glob("*.yaml")), TOP / "examples/office.yaml")
BY_BOTH = ("everything", "fresh", "office")
"""Policies that both backends compile; the others take the default one."""
RANDOM_POLICIES, QUERIES = 8, 60
_SECONDS = 600.0
"""After which a guest is ended: several times what one takes on a machine that does nothing else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs an emulator, and Debian's tools to get a kernel."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.tool("qemu-system-x86_64", "apt-get", "dpkg-deb"))


@pytest.fixture(scope="session", params=SERIES)
def guest(request: pytest.FixtureRequest, shared_folder: Path) -> dict[str, Any]:
    """Part to what the kernel's guest saw: see kernelguest. `series` and `release` say which it is."""
    shared = shared_folder
    # One guest at a time, and one for all processes of a run: a guest keeps a core busy.
    with _locked(shared / "kernels.lock"):
        kept = shared / f"kernel-{request.param}.json"
        if not kept.exists():
            kept.write_text(json.dumps(_observe(request.param, shared)))
        seen = json.loads(kept.read_text())
    if "unavailable" in seen:
        pytest.skip(seen["unavailable"])
    if "failed" in seen:
        pytest.fail(seen["failed"])
    return seen


@pytest.fixture
def facts(guest: dict[str, Any]) -> Callable[[str], Any]:
    """The facts of a part by its name; a part that failed in the guest fails the test."""

    def of(name: str) -> Any:
        said = guest.get(name, {"error": "the guest did not get that far"})
        if "error" in said:
            pytest.fail(f"{guest['release']}: {said['error']}")
        return said["facts"]

    return of


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _observe(series: str, shared: Path) -> dict[str, Any]:
    try:
        kernel = prepare(series, kernel_cache())
    except KernelUnavailableError as error:
        return {"unavailable": f"needs a Linux {series} kernel: {error}"}
    artefacts, folder = shared / "kernel-artefacts", shared / f"kernel-{series}"
    if not artefacts.exists():
        compile_all(artefacts)
    folder.mkdir()
    command = [sys.executable, "-m", "kernelguest", str(artefacts)]
    task = Task(command, {"PYTHONPATH": str(Path(__file__).parent)}, [artefacts], timeout=_SECONDS)
    try:
        outcome = run(kernel, task, folder)
    except GuestError as error:
        return {"failed": str(error)}
    said = {str(document["part"]): document for document in outcome.documents()}
    return {**said, "series": series, "release": kernel.release, "seconds": outcome.seconds}


def compile_all(folder: Path) -> None:
    """Artefacts of all policies by both backends, and of random ones with questions and answers."""
    scratch = folder.with_name(f"{folder.name}-new")
    (scratch / "random").mkdir(parents=True)
    for policy in POLICIES:
        for backend in BACKENDS if policy.stem in BY_BOTH else BACKENDS[:1]:
            data = compile_policy(policy, backend=backend).data
            (scratch / f"{policy.stem}-{backend}.o").write_bytes(data)
    for number, policy in enumerate(_random_policies()):
        loaded = parse_policy_text(policy.text).policy
        data = compile_parsed(loaded, backend=BACKENDS[number % len(BACKENDS)]).data
        (scratch / f"random/{number}.o").write_bytes(data)
        reference = ReferenceEngine(loaded)
        answers = [reference.answer(query).to_json() for query in queries(policy, number, QUERIES)]
        (scratch / f"random/{number}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers))
    (scratch / "detectors").mkdir()
    (scratch / "detectors/fentry.o").write_bytes(compile_program(fentry_source()))
    compile_cases(scratch / "rejected", set(CASES) - set(SLOW))
    scratch.rename(folder)


def _random_policies() -> list[RandomPolicy]:
    found: list[RandomPolicy] = []

    @seed(random.Random("kernels").getrandbits(32))
    @settings(
        max_examples=RANDOM_POLICIES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(policies())
    def collect(policy: RandomPolicy) -> None:
        found.append(policy)

    collect()
    return found
