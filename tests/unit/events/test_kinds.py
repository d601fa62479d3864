"""Every kind of event that the gateway publishes is one that commands and pages know."""

from __future__ import annotations

import re
from pathlib import Path

from wardgate.gateway.events import KINDS

ROOT = Path(__file__).resolve().parents[3]


def test_every_kind_that_is_published_is_known_and_documented() -> None:
    folders = ("service", "sessions")
    sources = [
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / "gateway" / folder).rglob("*.py")
    ]
    calls = re.findall(r"\b(?:_event|Event)\(([^)]*)", "\n".join(sources))
    published = {word for call in calls for word in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', call.split(",")[0])}
    assert {"drop", "pass", "login", "renewal", "roam", "enrolled", "policy", "needs-login"} <= published
    assert published <= set(KINDS)
    page = (ROOT / "docs" / "control.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
