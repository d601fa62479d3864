"""The kernel's answers to questions about random policies, against the expected ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wardgate.cli.kernel_engine import KernelEngine
from wardgate.compiler.explain.query import Query

FOLDER = "random"
_ASKED = ("as", "to", "from", "service", "authed", "login_age")
_SHOWN = 5


def observe(folder: Path) -> dict[str, Any]:
    """How many policies and questions there were, and the first answers that were wrong."""
    wrong: list[dict[str, Any]] = []
    policies = queries = 0
    for path in sorted((folder / FOLDER).glob("*.o")):
        policies += 1
        with KernelEngine(path.read_bytes()) as kernel:
            for line in path.with_suffix(".jsonl").read_text().splitlines():
                expected = json.loads(line)
                queries += 1
                asked = {name: expected[name] for name in _ASKED if name in expected}
                answer = kernel.answer(Query.from_json(asked)).to_json()
                if answer != expected:
                    wrong.append({"policy": path.stem, "expected": expected, "answer": answer})
    return {"policies": policies, "queries": queries, "wrong": len(wrong), "first": wrong[:_SHOWN]}
