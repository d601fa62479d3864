"""A policy that changes, compiled again and again: where only members of groups did, nothing is compiled.

recompiler = Recompiler("office.yaml")
gate = Gate.create_or_adopt(recompiler.compile().artefact.data, device="wg0")
...                                             # somebody joins a group
change = recompiler.compile()
gate.swap(change.artefact.data) if change.artefact else gate.reassign(change.manifest)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from wardgate.compiler.artefact.describe import describe_files, describe_rules, policy_digest
from wardgate.compiler.backend import Backend, Clang
from wardgate.compiler.collection import paused_collection
from wardgate.compiler.compile import Artefact, compile_parsed
from wardgate.compiler.language import Diagnostic, LoadedPolicy, PolicyReader, Resolver
from wardgate.compiler.language.model import Policy, Rule
from wardgate.compiler.lowering.classes import policy_classes
from wardgate.compiler.lowering.lowered import Lowered
from wardgate.compiler.validation import validate_reassigned
from wardgate.runtime.layout.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Change:
    """What a gate is to be given: `artefact`, or where that is None `manifest` in place of the one of the
    artefact before, which says what the policy means but for the classes of users."""

    manifest: Manifest
    artefact: Artefact | None
    warnings: tuple[Diagnostic, ...]


class Recompiler:
    """Compiles the policy at `path`, or what `path` returns when it is called, each time that `compile` is
    called. Other arguments as for `compile_policy`; what is read already needs no `resolver`."""

    def __init__(
        self,
        path: Path | str | Callable[[], LoadedPolicy],
        *,
        backend: Backend = "llvmlite",
        clang: Clang | None = None,
        resolver: Resolver | None = None,
        validate: bool = True,
        budget: int | None = None,
    ) -> None:
        self._load = path if callable(path) else PolicyReader(Path(path), resolver=resolver).load
        self._backend = backend
        self._clang = clang
        self._validate = validate
        self._budget = budget
        self._last: Artefact | None = None

    def compile(self) -> Change:
        """The policy as its files are now; the first time an artefact. Errors as for `compile_policy`, after
        which the artefact of last time is still the one to compare with."""
        with paused_collection():
            loaded = self._load()
            if self._last is not None:
                last, lowered = self._last.manifest, self._last.lowered
                manifest = reassigned(last, lowered, loaded.policy)
                if manifest is not None:
                    if self._validate:
                        validate_reassigned(manifest, loaded.policy, last, lowered.policy)
                    return Change(manifest, None, loaded.warnings)
            artefact = compile_parsed(
                loaded.policy,
                loaded.warnings,
                backend=self._backend,
                clang=self._clang,
                validate=self._validate,
                budget=self._budget,
            )
        self._last = artefact
        return Change(artefact.manifest, artefact, loaded.warnings)


def reassigned(manifest: Manifest, lowered: Lowered, policy: Policy) -> Manifest | None:
    """The manifest with which an artefact, made of `lowered`, means `policy`, by giving users other classes
    of those that it has. None where that cannot be: other rules, addresses or tunnels, or users with a set of
    groups that is new. `manifest` is the artefact's own."""
    before = lowered.policy
    if (policy.tunnel, policy.resolved) != (before.tunnel, before.resolved):
        return None
    if not _same_rules(before.rules, policy.rules):
        return None
    has = {found.subjects: found.number for found in lowered.classes.classes}
    wanted = policy_classes(policy)
    number_of = {found.number: has.get(found.subjects) for found in wanted.classes}
    # The first class is that of users whom the policy does not name, here as there: its subjects are `*`.
    subjects = {}
    for user, number in wanted.of_user.items():
        found = number_of[number]
        if found is None:
            return None
        subjects[user] = found
    place = attrgetter("position")
    moved = list(map(place, before.rules)) != list(map(place, policy.rules))
    return replace(
        manifest,
        digest=policy_digest(policy),
        files=describe_files(policy),
        rules=describe_rules(policy) if moved else manifest.rules,
        subjects=subjects,
    )


def _same_rules(before: tuple[Rule, ...], after: tuple[Rule, ...]) -> bool:
    """Whether the rules are the same but for where they stand."""
    content = attrgetter("id", "action", "subject", "inbound", "text", "destinations", "services")
    return list(map(content, before)) == list(map(content, after))
