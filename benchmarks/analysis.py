"""What comparing and proving policies costs: seconds of a CPU from two policies' files to all that differs,
and from a policy's file and an assertion to the proof.

    python -m benchmarks.analysis [--rules 1000 10000 100000] [--runs 3] [--json]

Edits are those of generated policies (benchmarks/policies.py): none, a user who joins a group, one rule, one
rule in a hundred and one in ten. An edited rule gets another service, goes away, or is repeated with another
action.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from wardgate.compiler.analysis import compare, prove, view_of_policy
from wardgate.compiler.language import load_claim, load_policy

from benchmarks.contest import say
from benchmarks.policies import Shape, document
from benchmarks.sampling import Summary

Document = dict[str, Any]

RULES: Final = (1_000, 10_000, 100_000)
CLAIMS: Final = {
    "never, of a group's users": "never: {as: group:g0, to: [192.168.0.0/16, 'fe80::/10']}",
    "never, of everyone": "never: {as: '*', to: [192.168.0.0/16, 'fe80::/10']}",
    "never, of everyone in any groups": (
        "never: {as: '*', to: [192.168.0.0/16, 'fe80::/10'], membership: any}"
    ),
    "always, of everyone": "always: {as: '*', to: 10.0.0.5, service: 443/tcp}",
    "never, of everyone, everywhere": "never: {as: '*', to: ['0.0.0.0/0', '::/0'], service: 9/sctp}",
}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rules", type=int, nargs="+", default=list(RULES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = measure(arguments.rules, arguments.runs)
    print(json.dumps(results, indent=1) if arguments.json else table(results))
    return 0


def measure(rules: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """For each number of rules, each edit and each claim."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in rules:
            say(f"comparing and proving, {count:,} rules")
            old = document(Shape.of_rules(count))
            before = _written(folder / "old.json", old)
            for label, edit in edits(count).items():
                after = _written(folder / "new.json", edit(old))
                found.append({"rules": count, "work": f"diff, {label}", **_compared(before, after, runs)})
            found += [
                {"rules": count, "work": f"prove {label}", **_proved(before, claim, runs)}
                for label, claim in CLAIMS.items()
            ]
    return found


def edits(rules: int) -> dict[str, Callable[[Document], Document]]:
    """The edits of a policy with so many rules."""
    return {
        "no edit": lambda old: old,
        "a user joins": _joined,
        "a rule": lambda old: _edited(old, 1),
        "1% of rules": lambda old: _edited(old, rules // 100),
        "10% of rules": lambda old: _edited(old, rules // 10),
    }


def _joined(old: Document) -> Document:
    groups = {group: list(members) for group, members in old["groups"].items()}
    group = next(group for group, members in groups.items() if "user0" not in members)
    groups[group].append("user0")
    return {**old, "groups": groups}


def _edited(old: Document, count: int) -> Document:
    new: Document = json.loads(json.dumps(old))
    random_ = random.Random(count)  # noqa: S311 - the same numbers each time are what is wanted
    policies = new["policies"]
    subjects = sorted(policies)
    for _ in range(count):
        subject = random_.choice(subjects)
        action = random_.choice(sorted(policies[subject]))
        rules = policies[subject][action]
        place = random_.randrange(len(rules))
        what = random_.random()
        if what < 0.4:
            rules[place] = f"{rules[place].split()[0]} 2222/tcp"
        elif what < 0.7 and len(rules) > 1:
            del rules[place]
        else:
            policies[subject].setdefault(random_.choice(("allow", "mfa", "deny")), []).append(rules[place])
    return new


def _written(path: Path, policy: Document) -> Path:
    path.write_text(json.dumps(policy, indent=1), encoding="utf-8")
    return path


def _compared(before: Path, after: Path, runs: int) -> dict[str, Any]:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        old, new = (view_of_policy(load_policy(path).policy, path.name) for path in (before, after))
        found = compare(old, new)
        taken.append(time.process_time() - start)
    return {
        "seconds": Summary.of(taken).to_json(),
        "statements": len(found.statements),
        "verdicts": found.compared.verdicts,
    }


def _proved(path: Path, claim: str, runs: int) -> dict[str, Any]:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        loaded, assertion = load_claim(path, claim)
        proved = prove(loaded.policy, assertion)
        taken.append(time.process_time() - start)
    return {"seconds": Summary.of(taken).to_json(), "holds": proved.passed, "cases": proved.cases}


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results for people."""
    lines = [f"{'rules':>8}  {'work':40}{'seconds':>9}  what it came to"]
    for one in results:
        came_to = (
            f"{one['statements']:,} statements of {one['verdicts']:,} verdicts"
            if "statements" in one
            else f"{'holds' if one['holds'] else 'does not hold'}, {one['cases']:,} cases"
        )
        lines.append(f"{one['rules']:8,}  {one['work']:40}{one['seconds']['median']:9.2f}  {came_to}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
