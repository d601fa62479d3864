"""Run the parts on the artefacts in a folder, one line of JSON each."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

from kernelguest import (
    attaching,
    engines,
    limits,
    loading,
    probes,
    rejections,
    roaming,
    suspension,
    traffic,
    wireguard,
)

PARTS = {
    "probes": probes.observe,
    "loading": loading.observe,
    "rejections": rejections.observe,
    "limits": limits.observe,
    "attaching": attaching.observe,
    "traffic tc": lambda folder: traffic.observe(folder, "tc"),
    "traffic xdp": lambda folder: traffic.observe(folder, "xdp"),
    "engines": engines.observe,
    "roaming": roaming.observe,
    "wireguard": wireguard.observe,
    "suspension": suspension.observe,
}


def main() -> None:
    """A part that fails doesn't keep the others from running."""
    folder = Path(sys.argv[1])
    for name, observe in PARTS.items():
        started = time.monotonic()
        said: dict[str, object] = {"part": name}
        try:
            said["facts"] = observe(folder)
        except Exception:
            said["error"] = traceback.format_exc()
        said["seconds"] = round(time.monotonic() - started, 1)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
