"""Kernels of Debian: found, downloaded and unpacked by apt and dpkg, and never installed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = re.compile(r"linux-image-(\d+\.\d+)[.+\w~-]*-cloud-amd64")
"""Debian's image for virtual machines: small, and with WireGuard, BTF and cls_bpf as modules."""
_ATTEMPTS = 4
_SECONDS = 300
_DONE = "unpacked"


class KernelUnavailableError(Exception):
    """A kernel cannot be had; the text says which and why."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: its release as `uname -r` says it, its image, and its folder of modules."""

    release: str
    image: Path
    modules: Path


def prepare(series: str, cache: Path) -> Kernel:
    """The newest kernel of a series such as `6.1`, from the cache or downloaded into it.

    apt checks what it downloads against the archive's signed checksums. A folder in the cache that is
    not whole is made anew. Where the archive is not to be reached, the newest one that was kept serves.
    KernelUnavailableError where there is none to be had.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        for attempt in range(_ATTEMPTS):
            try:
                return _kernel(_unpacked(_newest(series), cache))
            except KernelUnavailableError as error:
                reason = error
            time.sleep(attempt)
            # The archive keeps a version for some days only: lists may name one that has gone.
            _refresh()
        kept = [path.parent for path in cache.glob(f"linux-image-{series}.*/{_DONE}")]
        if not kept:
            raise reason
        return _kernel(max(kept, key=lambda folder: _order(folder.name)))


def _unpacked(name: str, cache: Path) -> Path:
    """The folder of a package, downloaded where the cache lacks it."""
    folder = cache / name
    if (folder / _DONE).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        _run("apt-get", "-q", "download", name, cwd=Path(scratch))
        packages = list(Path(scratch).glob("*.deb"))
        if len(packages) != 1:
            raise KernelUnavailableError(f"apt-get download {name} left {len(packages)} packages")
        unpacked = Path(scratch, "unpacked")
        _run("dpkg-deb", "--extract", str(packages[0]), str(unpacked))
        (unpacked / _DONE).touch()
        unpacked.rename(folder)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _kernel(folder: Path) -> Kernel:
    (image,) = (folder / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    modules = folder / "lib/modules" / release
    if not modules.is_dir():
        modules = folder / "usr/lib/modules" / release
    return Kernel(release, image, modules)


def _newest(series: str) -> str:
    """Name of the newest package of the series."""
    said = _run("apt-cache", "search", "--names-only", rf"^linux-image-{re.escape(series)}\.")
    names = [line.partition(" ")[0] for line in said.splitlines()]
    found = [name for name in names if (match := _PACKAGE.fullmatch(name)) and match[1] == series]
    if not found:
        raise KernelUnavailableError(f"apt knows no linux-image-{series}.*-cloud-amd64")
    return max(found, key=_order)


def _order(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _refresh() -> None:
    # Without root, or offline: the lists that are here have to do.
    with suppress(KernelUnavailableError):
        _run("apt-get", "-q", "update")


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelUnavailableError(f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise KernelUnavailableError(f"{' '.join(command)}: {said[-1] if said else done.returncode}")
    return done.stdout
