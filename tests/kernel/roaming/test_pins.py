"""Where a detector's links are pinned: in a folder that nobody else can take them from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wardgate.gateway.roaming import pins
from wardgate.gateway.roaming.errors import DetectorError

pytestmark = pytest.mark.root


@pytest.mark.parametrize("place", ["", "wg0"], ids=["all gateways", "one gateway"])
def test_no_detector_in_a_folder_of_another_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    top = tmp_path / "wardgate-roaming"
    monkeypatch.setattr(pins, "ROOT", top)
    mine = pins.RoamingPins("wg0")
    with mine.lock():
        assert mine.root.is_dir()
    os.chown(top / place, 65534, 65534)
    with pytest.raises(DetectorError, match="belongs to user 65534") as caught, mine.lock():
        pass
    assert caught.value.remedy.endswith(f"rm -r {top / place}")
