"""What explains an EPERM, from facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wardgate.runtime.privileges import (
    CAPABILITIES,
    Privileges,
    explain,
    explain_pin,
    is_bpffs,
    missing_capabilities,
    read_privileges,
)

FULL = Privileges(
    missing=(),
    own_user_namespace=False,
    no_new_privileges=False,
    seccomp=False,
    memlock=None,
    unprivileged_bpf=2,
    lockdown="none",
    bpffs=True,
)


def mask(*names: str) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        ((), ("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON")),
        (("CAP_BPF",), ("CAP_NET_ADMIN", "CAP_PERFMON")),
        (("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"), ()),
        (("CAP_SYS_ADMIN",), ("CAP_NET_ADMIN",)),
        (("CAP_SYS_ADMIN", "CAP_NET_ADMIN"), ()),
    ],
)
def test_missing_capabilities(held: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert missing_capabilities(mask(*held)) == missing


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(FULL, missing=("CAP_BPF",)), ["lacks CAP_BPF", "unprivileged_bpf_disabled is 2"]),
        (replace(FULL, missing=("CAP_BPF",), unprivileged_bpf=None), ["lacks CAP_BPF"]),
        (replace(FULL, own_user_namespace=True), ["user namespace"]),
        (replace(FULL, lockdown="integrity"), ["lockdown (integrity)"]),
        (replace(FULL, memlock=65536), ["65536 bytes", "ulimit"]),
        (replace(FULL, seccomp=True), ["seccomp"]),
        (FULL, ["security module"]),
    ],
)
def test_explanations_name_what_is_missing(facts: Privileges, words: list[str]) -> None:
    text = explain(facts)
    assert all(word in text for word in words)


def test_what_is_there_is_not_blamed() -> None:
    text = explain(replace(FULL, missing=("CAP_NET_ADMIN",)))
    assert "CAP_BPF" not in text
    assert "lockdown" not in text
    assert "seccomp" not in text


def test_a_folder_that_is_no_bpffs(tmp_path: Path) -> None:
    assert not is_bpffs(tmp_path)
    assert "mount -t bpf" in explain_pin(tmp_path / "pin")
    assert "no directory" in explain_pin(tmp_path / "none" / "pin")


def test_the_facts_of_this_process_can_be_read() -> None:
    facts = read_privileges()
    assert facts.missing is not None
    assert explain(facts)
