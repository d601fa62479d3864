"""The machinery of these tests: kernels from apt, and guests that always end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernelvm.cache import kernel_cache
from kernelvm.machine import GuestError, Task, run
from kernelvm.packages import KernelUnavailableError, prepare

APT_CACHE = """#!/bin/sh
for name in 6.1.0-9-cloud-amd64 6.1.0-10-cloud-amd64 6.1.0-11-cloud-amd64-dbg 6.1.0-12-rt-amd64; do
    echo "linux-image-$name - Linux"
done
"""
APT_GET = """#!/bin/sh
[ "$2" = update ] && exit 0
echo "$3" >>"$LOG"
[ -n "$BROKEN" ] && {{ echo "E: Failed to fetch $3 404" >&2; exit 100; }}
cp {package} .
"""


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An apt that has two kernels of 6.1, both with the content of one package; the file that it logs to."""
    tree, tools = tmp_path / "tree", tmp_path / "tools"
    for name in ("DEBIAN/control", "boot/vmlinuz-6.1.0-10-cloud-amd64",
                 "lib/modules/6.1.0-10-cloud-amd64/modules.builtin"):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "DEBIAN/control").write_text(
        "Package: kernel\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n"
    )
    subprocess.run(["dpkg-deb", "--build", tree, tmp_path / "kernel.deb"], check=True, capture_output=True)
    tools.mkdir()
    scripts = {"apt-cache": APT_CACHE, "apt-get": APT_GET.format(package=tmp_path / "kernel.deb")}
    for name, script in scripts.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setattr("kernelvm.packages.time.sleep", lambda _seconds: None)
    return log


def test_newest_kernel_is_downloaded_once(archive, tmp_path):
    cache = tmp_path / "cache"
    kernel = prepare("6.1", cache)
    assert kernel.release == "6.1.0-10-cloud-amd64"
    assert kernel.image.is_file()
    assert kernel.modules.is_dir()
    assert prepare("6.1", cache) == kernel
    assert archive.read_text() == "linux-image-6.1.0-10-cloud-amd64\n"


@pytest.mark.usefixtures("archive")
def test_half_a_kernel_is_downloaded_again(tmp_path):
    kernel = prepare("6.1", tmp_path / "cache")
    (tmp_path / "cache/linux-image-6.1.0-10-cloud-amd64/unpacked").unlink()
    kernel.image.unlink()
    assert prepare("6.1", tmp_path / "cache").image.is_file()


@pytest.mark.usefixtures("archive")
def test_no_such_kernel(tmp_path):
    with pytest.raises(KernelUnavailableError, match=r"apt knows no linux-image-6\.12\.\*-cloud-amd64"):
        prepare("6.12", tmp_path / "cache")


def test_download_fails(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(
        KernelUnavailableError, match=r"download linux-image-6\.1\.0-10-cloud-amd64: E: .* 404"
    ):
        prepare("6.1", tmp_path / "cache")
    assert len(archive.read_text().splitlines()) > 1
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("archive")
def test_kept_kernel_serves_without_apt(tmp_path, monkeypatch):
    kernel = prepare("6.1", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepare("6.1", tmp_path / "cache") == kernel


def children() -> set[str]:
    """Emulators that this process started."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def kernel():
    try:
        return prepare("6.12", kernel_cache())
    except KernelUnavailableError as error:
        pytest.skip(str(error))


def test_guest_that_hangs_is_ended(kernel, tmp_path):
    before = children()
    task = Task([sys.executable, "-c", "import time; time.sleep(1000)"], timeout=2.0)
    with pytest.raises(GuestError, match="was not done in 2 s"):
        run(kernel, task, tmp_path)
    assert children() <= before
    assert not (tmp_path / "initrd").exists()


def test_guest_that_cannot_start_tells_its_console(kernel, tmp_path):
    with pytest.raises(GuestError, match="No such file or directory: '/nothing'"):
        run(kernel, Task(["/nothing"]), tmp_path)
