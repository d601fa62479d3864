"""A BPF file system is mounted where there is none; in mounts of the test's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from wardgate.gateway.network.bpffs import mount_bpffs
from wardgate.gateway.network.errors import NetworkError

SCRIPT = """
import os, sys
from pathlib import Path
from wardgate.gateway.network.bpffs import mount_bpffs
from wardgate.gateway.network.preflight import check_bpffs
folder = Path(sys.argv[1])
assert not check_bpffs(folder).ok
assert mount_bpffs(folder)
assert check_bpffs(folder).ok
assert not mount_bpffs(folder)
print(oct(os.stat(folder).st_mode & 0o777))
"""


@pytest.mark.tool("unshare")
def test_it_is_mounted_once(tmp_path):
    command = ["unshare", "--mount", sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "0o700\n"


def test_where_it_cannot_be_mounted(tmp_path):
    with pytest.raises(NetworkError, match="No such file") as caught:
        mount_bpffs(tmp_path / "nowhere")
    assert "mount -t bpf" in caught.value.remedy
