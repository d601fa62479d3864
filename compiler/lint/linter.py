"""The linter: what a policy says that its author may not have meant.

`lint_policy` finds it, places it, and leaves out what comments in the policy or its caller silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from wardgate.compiler.collection import paused_collection
from wardgate.compiler.language.diagnostics import MAX_DIAGNOSTICS, Code
from wardgate.compiler.language.load import LoadedPolicy
from wardgate.compiler.language.model import Action, Position, Rule
from wardgate.compiler.language.source import Source
from wardgate.compiler.lint.blanked import DnsNames, blanked_buckets, names_inside
from wardgate.compiler.lint.codes import CODES
from wardgate.compiler.lint.dead import dead_rules
from wardgate.compiler.lint.findings import Finding
from wardgate.compiler.lint.masks import ServiceMasks
from wardgate.compiler.lint.names import dns_names, idle_names
from wardgate.compiler.lint.overridden import overridden_rules
from wardgate.compiler.lint.side import Side
from wardgate.compiler.lint.silencing import FORM, Silencer, silencers
from wardgate.compiler.lint.telling import Teller
from wardgate.compiler.lowering.classes import policy_classes

_MOST_LOOKS = 2_000_000
"""Rules that the reference looks at, for the packets of all findings, before no more are told: where buckets
have thousands of rules, ten thousand packets would take it minutes."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """The findings in source order. `more`: how many there are besides, which nobody would read; `silenced`:
    how many are left out because they are silenced."""

    findings: tuple[Finding, ...]
    silenced: int
    more: int = 0

    @property
    def count(self) -> int:
        """How many findings there are."""
        return len(self.findings) + self.more

    def to_json(self) -> list[dict[str, Any]]:
        """The findings as plain data."""
        return [finding.to_json() for finding in self.findings]


@dataclass(frozen=True, slots=True)
class _Sketch:
    """A finding before it is told: most of the work of many is in their words and packets."""

    code: Code
    position: Position
    about: str
    tell: Callable[[], Finding]


def lint_policy(loaded: LoadedPolicy, ignored: Collection[str] = ()) -> LintReport:
    """The findings about a policy.

    `ignored` silences more than the policy's comments do: a code, or `CODE:TEXT` for findings about a rule
    or a name with this text. What in it is about nothing is ignored itself.
    """
    with paused_collection():
        return _lint(loaded, frozenset(ignored))


def _lint(loaded: LoadedPolicy, ignored: frozenset[str]) -> LintReport:
    policy = loaded.policy
    lines = {file.name: Source(file.name, file.text).lines for file in policy.files}
    classes = policy_classes(policy)
    teller = Teller(policy, classes, lines)
    masks = ServiceMasks(policy.rules)
    names = dns_names(loaded)
    found: list[_Sketch] = []
    for inbound in (False, True):
        side = Side(policy, classes, masks, inbound=inbound)
        if side.rules:
            found += _about_rules(side, teller, names)
    found += _about_names(loaded, teller)

    comments = list(silencers(policy.files, CODES))
    kept = [sketch for sketch in found if not {sketch.code.value, f"{sketch.code}:{sketch.about}"} & ignored]
    silencing = _Silencing(comments)
    kept = [sketch for sketch in kept if not silencing.take(sketch)]
    silenced = len(found) - len(kept)
    if Code.UNUSED_IGNORE.value not in ignored:
        kept += (_unused(comment, teller, why) for comment, why in silencing.unused())
    order = {file.name: number for number, file in enumerate(policy.files)}
    kept.sort(key=lambda sketch: (order.get(sketch.position.file, 0), sketch.position, sketch.code))
    told: list[Finding] = []
    for sketch in kept[:MAX_DIAGNOSTICS]:
        if teller.looked > _MOST_LOOKS:
            break
        told.append(sketch.tell())
    return LintReport(tuple(told), silenced, len(kept) - len(told))


def _about_rules(side: Side, teller: Teller, names: DnsNames) -> Iterator[_Sketch]:
    living = dead_rules(side)
    for rule in living.dead.values():
        yield _sketch(Code.DEAD_RULE, rule, partial(teller.dead, living, rule))
    for weak in overridden_rules(side):
        code = Code.DEFEATED_DENY if weak.rule.action is Action.DENY else Code.BYPASSED_MFA
        yield _sketch(code, weak.rule, partial(teller.overridden, side, weak))
    for blank in blanked_buckets(side):
        yield _sketch(Code.BLANKED_PREFIX, blank.rule, partial(teller.blanked, side, blank))
    for name in names_inside(side, names):
        yield _sketch(Code.NAME_IN_PREFIX, name.rule, partial(teller.name_inside, side, name))


def _sketch(code: Code, rule: Rule, tell: Callable[[], Finding]) -> _Sketch:
    return _Sketch(code, rule.position, rule.text, tell)


def _about_names(loaded: LoadedPolicy, teller: Teller) -> Iterator[_Sketch]:
    for idle in idle_names(loaded):
        tell = partial(
            teller.plain, idle.code, idle.name, idle.position, idle.length, idle.message, idle.remedy
        )
        yield _Sketch(idle.code, idle.position, idle.name, tell)


class _Silencing:
    """The policy's own comments, and what each of them silenced."""

    def __init__(self, comments: Sequence[Silencer]) -> None:
        self._comments = comments
        self._about: dict[tuple[str, int, str], list[Silencer]] = {}
        for comment in comments:
            for code in comment.codes:
                if comment.line is not None:
                    self._about.setdefault((comment.position.file, comment.line, code), []).append(comment)
        self._used: set[tuple[Position, str]] = set()

    def take(self, sketch: _Sketch) -> bool:
        """Whether a comment silences a finding."""
        place = sketch.position
        comments = self._about.get((place.file, place.line, sketch.code.value), ())
        self._used.update((comment.position, sketch.code.value) for comment in comments)
        return bool(comments)

    def unused(self) -> Iterator[tuple[Silencer, str]]:
        """The comments that silenced nothing, and why."""
        for comment in self._comments:
            idle = [code for code in comment.codes if (comment.position, code) not in self._used]
            if comment.flaw:
                yield comment, comment.flaw
            elif idle:
                yield comment, f"there is no `{'`, no `'.join(idle)}` here to ignore"


def _unused(comment: Silencer, teller: Teller, why: str) -> _Sketch:
    remedy = f"write `{FORM}`" if comment.flaw else "remove what it doesn't need"
    tell = partial(
        teller.plain, Code.UNUSED_IGNORE, "", comment.position, comment.length,
        f"this comment silences nothing: {why}", remedy,
    )  # fmt: skip
    return _Sketch(Code.UNUSED_IGNORE, comment.position, "", tell)
