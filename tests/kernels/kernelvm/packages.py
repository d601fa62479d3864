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
from contextlib import contextmanager
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
    not whole is made anew. KernelUnavailableError where there is none to be had.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        try:
            name = _newest(series)
        except KernelUnavailableError:
            # What was downloaded before serves where the archive is not to be reached now.
            kept = sorted(path.parent for path in cache.glob(f"linux-image-{series}.*/{_DONE}"))
            if not kept:
                raise
            return _kernel(kept[-1])
        folder = cache / name
        if not (folder / _DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                unpacked = Path(scratch, "unpacked")
                _run("dpkg-deb", "--extract", str(_download(name, Path(scratch))), str(unpacked))
                (unpacked / _DONE).touch()
                unpacked.rename(folder)
        return _kernel(folder)


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
    """Name of the newest package of the series; lists of packages are fetched where they lack one."""
    for refresh in (False, True):
        if refresh:
            _refresh()
        names = _run("apt-cache", "search", "--names-only", rf"^linux-image-{re.escape(series)}\.").split(
            "\n"
        )
        found = [
            match[0]
            for line in names
            if (match := _PACKAGE.fullmatch(line.partition(" ")[0])) and match[1] == series
        ]
        if found:
            return max(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
    raise KernelUnavailableError(f"apt knows no linux-image-{series}.*-cloud-amd64")


def _refresh() -> None:
    try:
        _run("apt-get", "-q", "update")
    except KernelUnavailableError:
        # Without root, or offline: the lists that are here have to do.
        return


def _download(name: str, folder: Path) -> Path:
    for attempt in range(_ATTEMPTS):
        try:
            _run("apt-get", "-q", "download", name, cwd=folder)
            (package,) = folder.glob("*.deb")
            return package
        except (KernelUnavailableError, ValueError) as error:
            reason = error
            if attempt + 1 < _ATTEMPTS:
                time.sleep(3 * (attempt + 1))
                # The archive keeps a version for some days only: lists may name one that has gone.
                _refresh()
    raise KernelUnavailableError(f"{name} could not be downloaded: {reason}")


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
        raise KernelUnavailableError(f"{' '.join(command[:3])}: {said[-1] if said else done.returncode}")
    return done.stdout
