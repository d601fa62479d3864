"""The real `wardgate` commands, run in the gateway's namespace, and what `run` reports."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.traffic import Flow

WARDGATE = (sys.executable, "-m", "wardgate.cli.main")
_START_SECONDS = 60.0


class GateError(RuntimeError):
    """A command failed; the text is what it said, `status` its exit status."""

    def __init__(self, arguments: Sequence[str], status: int, said: str) -> None:
        super().__init__(f"wardgate {' '.join(arguments)} ended with {status}\n{said}".rstrip())
        self.status = status


def command(namespace: NetNamespace, *arguments: str) -> dict[str, Any]:
    """Run `wardgate ARGUMENTS --json` in the namespace; its document. GateError where it fails."""
    with namespace.enter():
        done = subprocess.run(  # noqa: S603 - this Python, and arguments of the demo
            [*WARDGATE, *arguments, "--json"], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise GateError(arguments, done.returncode, done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


class RunningGate:
    """A `wardgate run` process, attached when the constructor returns, and the drops it reported."""

    def __init__(
        self, namespace: NetNamespace, artefact: Path, device: str, devices: Path, name: str
    ) -> None:
        arguments = ("run", str(artefact), "--device", device, "--devices", str(devices), "--name", name)
        with namespace.enter():
            self.process = subprocess.Popen(  # noqa: S603 - this Python, and arguments of the demo
                [*WARDGATE, *arguments, "--json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        self.attached: dict[str, Any] = {}
        self._drops: dict[Flow, dict[str, Any]] = {}
        self._ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="gate-reports", daemon=True)
        self._reader.start()
        try:
            ready = self._ready.get(timeout=_START_SECONDS)
        except queue.Empty:
            ready = False
        if not ready:
            self.process.kill()
            said = self.process.stderr.read() if self.process.stderr else ""
            status = self.process.wait()
            raise GateError(arguments, status, said)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            report = json.loads(line)
            event = report.get("event")  # a failure has none; what it says is on stderr too
            if event == "attached":
                self.attached = report
                self._ready.put(True)
            elif event == "drop":
                self._drops[_flow(report)] = report
        self._ready.put(False)

    def drop_of(self, flow: Flow) -> dict[str, Any] | None:
        """The report of a packet that was dropped."""
        return self._drops.get(flow)

    def stop(self) -> None:
        """End the process; what it attached stays."""
        self.process.terminate()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def _flow(report: dict[str, Any]) -> Flow:
    return Flow(
        report["protocol"],
        report["source"],
        report["source_port"],
        report["destination"],
        report["destination_port"],
    )
