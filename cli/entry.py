"""The console script. Loading the commands takes a moment, and Ctrl-C ends that without a traceback."""

from __future__ import annotations

import signal

# Unless it is ignored, as in the background of a shell.
_taken = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _taken:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Run the command line; its exit status."""
    from wardgate.cli.main import main as run

    if _taken:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
