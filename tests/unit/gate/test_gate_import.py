"""The gate is at hand as `wardgate.runtime.Gate`, and brings none of what the runtime may not load."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from wardgate.runtime import DeviceSpec, Gate
assert Gate.__module__ == "wardgate.runtime.gate"
assert DeviceSpec.__module__ == "wardgate.runtime.devices"
print(*sys.modules)
"""
FORBIDDEN = {"wardgate.compiler", "wardgate.cli", "llvmlite", "click", "pyroute2", "yaml"}


def test_the_gate_loads_nothing_that_the_runtime_may_not() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert not FORBIDDEN & set(done.stdout.split())
