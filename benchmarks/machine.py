"""The machine that figures were taken on, as far as it can be told without special rights."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CACHE = Path("/sys/devices/system/cpu/cpu0/cache")


def describe() -> dict[str, Any]:
    """Processor, caches, memory, kernel and versions, for a results file."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", meminfo, re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "virtual": "hypervisor" in cpuinfo,
        "caches": caches(),
        "memory_mib": int(memory[1]) >> 10 if memory else 0,
        "kernel": platform.release(),
        "jit": _setting("net/core/bpf_jit_enable"),
        "jit_harden": _setting("net/core/bpf_jit_harden"),
        "python": platform.python_version(),
        "wardgate": importlib.metadata.version("wardgate"),
        "llvmlite": importlib.metadata.version("llvmlite"),
        "nftables": _version("nft", "--version"),
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def caches() -> dict[str, str]:
    """Data caches of the first CPU by level, as `L2: 1024K`."""
    found = {}
    for folder in sorted(_CACHE.glob("index*")):
        level, kind, size = (
            (folder / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _setting(name: str) -> str:
    path = Path("/proc/sys", name)
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _version(tool: str, *arguments: str) -> str:
    path = shutil.which(tool, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if path is None:
        return "not installed"
    command = [path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
