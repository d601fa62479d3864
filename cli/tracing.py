"""An answer's trace as text, and what is needed from outside the compiler to make one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from wardgate.cli import columns
from wardgate.cli.engines import artefact_of
from wardgate.runtime.layout import durations

if TYPE_CHECKING:
    from wardgate.cli.engines import Source
    from wardgate.compiler.explain.answer import Answer, RuleReference
    from wardgate.compiler.explain.derivation import Candidate, Derivation, Weighed
    from wardgate.compiler.explain.engines import VmEngine
    from wardgate.compiler.explain.path import CodeLine, Looked, Path, Step
    from wardgate.compiler.explain.query import Query
    from wardgate.compiler.explain.trace import Trace
    from wardgate.compiler.language import Resolver
    from wardgate.runtime.layout.manifest import Manifest

_WIDTH = 80
_TEMPLATES = "bpf_templates/"
_BOOKKEEPING = ("processors", "rule_hits", "limits")
"""Maps of counters and of the clock: what a packet does there explains nothing."""
_BUCKETS = ("reach", "reach_pages", "reach_values")
"""Tables whose entries are buckets, in each form that the matrix has."""
_TELLING = ("send_event", "tell_skb", "tell_xdp")
"""Functions that tell of a decision: the trace makes the program do so, a gate does it for drops."""
FUNCTIONS = {
    "gate_ingress": "from a device: first the fast path",
    "gate_egress": "to a device: first the fast path",
    "parse_skb": "the slow path: all headers, from the start",
    "reason_of": "the slow path: judge what was parsed",
    "admit": "as a new packet, or as a reply",
    "consider": "what one side of the policy says",
    "look_up": "tables to a decision",
    "owner_by_hash": "a device by its address",
    "session_of": "the device's session",
    "flow_known": "is there a flow that it replies to?",
    "flow_keep": "note the flow, so that replies pass",
    "fragment_complete": "a later fragment: what was the first?",
    "fragment_passed": "a first fragment: note it for the others",
}
"""What functions are there for. Others are shown by their name alone."""
_PLACE = 16


def make(source: Source, query: Query, resolver: Resolver | None) -> Trace:
    """The trace of `query`; a policy is compiled for it. The kernel is asked where it lets itself be."""
    from wardgate.compiler.explain.trace import trace

    code = artefact_of(source, resolver)
    return trace(
        query, code, source.policy, lambda engine: code_lines(code, engine), {"kernel": _kernel(code)}
    )


def _kernel(artefact: bytes) -> Callable[[Query], Answer] | str:
    """How to ask the kernel, or why it cannot be asked."""
    from wardgate.cli.kernel_engine import KernelEngine
    from wardgate.compiler.explain.probe import EngineError
    from wardgate.runtime.errors import WardgateError

    try:
        engine = KernelEngine(artefact)
    except (WardgateError, EngineError) as error:
        return " ".join(str(error).split())

    def ask(query: Query) -> Answer:
        with engine:
            return engine.answer(query)

    return ask


def code_lines(artefact: bytes, engine: VmEngine) -> Sequence[CodeLine]:
    """The source lines of an engine's image, from the artefact's BTF; none where it has none."""
    from wardgate.compiler.explain.path import CodeLine
    from wardgate.runtime.elf import read_object
    from wardgate.runtime.spec import INSTRUCTION_BYTES

    spec = read_object(artefact)
    if spec.btf is None:
        return ()
    entries = engine.machine.image.functions
    found = [
        CodeLine(
            entries[name] + line.offset // INSTRUCTION_BYTES,
            spec.btf.string(line.file),
            line.line,
            spec.btf.string(line.text).strip(),
        )
        for name, function in (*spec.programs.items(), *spec.functions.items())
        for line in function.lines
    ]
    return sorted(found, key=lambda line: line.index)


def lines(trace: Trace, query: Query, *, verbose: bool) -> Iterator[str]:
    """The trace in lines of at most 80 columns; with `verbose`, every source line of the program."""
    yield from _wrapped("who", _who(trace.derivation, query.user))
    yield ""
    yield from _candidates(trace.derivation, query)
    if trace.derivation.bucket:
        yield ""
        prefix = trace.derivation.candidates[0].prefix
        yield from textwrap.wrap(f"what each rule for {prefix} says of {query.service}", _WIDTH)
        for weighed in trace.derivation.bucket:
            yield from _weighed(weighed)
    yield ""
    yield from _path(trace.path, trace.manifest, verbose)
    yield ""
    yield from _engines(trace)


def _wrapped(label: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=f"{label:<9}", subsequent_indent=" " * 9, break_on_hyphens=False
    )


def _who(derivation: Derivation, user: str) -> str:
    groups = [name for name in derivation.subjects if name not in ("*", user)]
    shown = ", ".join(groups)
    if derivation.from_tables:
        own = " and of their own" if user in derivation.subjects else ""
        return (
            f"{user} has the rules of everyone{f', of {shown}' if groups else ''}{own} "
            "(as the tables show: an artefact has no groups)"
        )
    return f"{user} is in {shown}" if groups else f"{user} is in no group"


def _candidates(derivation: Derivation, query: Query) -> Iterator[str]:
    user, address = query.user, query.address
    side = "the inbound rules" if query.packet.inbound else "the rules"
    if not derivation.candidates:
        yield from _wrapped("prefixes", f"none in {side} of {user} contains {address}: a deny")
        return
    yield from textwrap.wrap(f"prefixes in {side} of {user} that contain {address}, longest first", _WIDTH)
    for candidate in derivation.candidates:
        yield from _candidate(candidate, len(derivation.candidates))


def _candidate(candidate: Candidate, count: int) -> Iterator[str]:
    says = "decides: it is the only one" if count == 1 else "decides: it is the longest"
    yield f"  {candidate.prefix:<20} {says if candidate.decides else 'has no say: one is longer'}"
    for grant in candidate.grants:
        yield columns.cut(f"    {_subject(grant.subject)}: {grant.action} {_place(grant.rule)}", _WIDTH)


def _subject(subject: str) -> str:
    return "everyone" if subject == "*" else subject


def _place(rule: RuleReference) -> str:
    return f'{rule.file}:{rule.line}:{rule.column} "{rule.text}"'


def _weighed(weighed: Weighed) -> Iterator[str]:
    grant = weighed.grant
    said = "WINS" if weighed.decides else {True: "matches", False: "no", None: "unknown"}[weighed.matches]
    yield columns.cut(f"  {grant.action:<6} {_place(grant.rule)}", _WIDTH)
    yield columns.cut(f"         {said}: {weighed.why}", _WIDTH)


def _path(path: Path, manifest: Manifest, verbose: bool) -> Iterator[str]:
    yield f"the way through the program: {path.program}, {path.instructions} instructions"
    for step in path.steps:
        if step.enters in _TELLING:
            yield f"  {_where(step)} {step.enters + '()':<18} tell of the decision"
            if not verbose:
                # Nothing follows it but the end.
                return
        yield from _step(step, manifest, verbose)


def _step(step: Step, manifest: Manifest, verbose: bool) -> Iterator[str]:
    if step.enters and step.enters not in _TELLING:
        what = FUNCTIONS.get(step.enters, "")
        yield columns.cut(f"  {_where(step)} {step.enters + '()':<18} {what}".rstrip(), _WIDTH)
    elif verbose and step.text:
        yield columns.cut(f"  {_where(step)}   {' '.join(step.text.split())}", _WIDTH)
    for one in step.looked:
        shown = _looked(one, manifest)
        if shown:
            yield columns.cut(f"  {'' if verbose else _where(step):<{_PLACE}}   {shown}", _WIDTH)


def _where(step: Step) -> str:
    place = f"{step.file.removeprefix(_TEMPLATES)}:{step.line}" if step.file else "-"
    return f"{place:<{_PLACE}}"


def _looked(one: Looked, manifest: Manifest) -> str | None:
    from wardgate.compiler.explain.path import FieldLoad, Load

    if isinstance(one, Load):
        shown = f"{one.table}[{one.index}] = {one.value}"
        return f"{shown:<30} {_meaning(one.table, one.value, manifest)}".rstrip()
    if one.map in _BOOKKEEPING:
        return None
    if isinstance(one, FieldLoad):
        if one.map == "subject_class":
            return f"{one.map}[{one.key}]: policy class {_policy_class(one.fields['classes'], manifest)}"
        fields = ", ".join(f"{name} {_number(value)}" for name, value in one.fields.items())
        return f"{one.map}[{one.key}]: {fields}"
    if one.operation == "lookup":
        return None if one.found else f"{one.map}[{one.key}]: nothing there"
    return f"{one.map}[{one.key}]: {one.operation}"


def _number(value: int) -> str:
    return str(value) if value < 1 << 24 else f"{value:#x}"


def _policy_class(classes: int, manifest: Manifest) -> int:
    """The class of the device that the question was asked with, among those of an entry."""
    from wardgate.compiler.explain.probe import SUBJECT

    bits = manifest.parameters["class_bits"]
    return classes >> SUBJECT * bits % 64 & (1 << bits) - 1


def _meaning(table: str, value: int, manifest: Manifest) -> str:
    """What an entry stands for, in words."""
    from wardgate.compiler.lowering.patterns import VERDICT_BITS
    from wardgate.runtime.layout.codes import Verdict

    if table in _BUCKETS:
        known = 0 < value <= len(manifest.buckets)
        return f"bucket {manifest.buckets[value - 1].prefix}" if known else "no bucket"
    if table == "bucket_rules":
        fresh = any(one.name == "within" for one in manifest.tables)
        number = value >> 1 if fresh else value
        if not 0 < number <= len(manifest.rules):
            return "no rule"
        rule = manifest.rules[number - 1]
        asks = ", which says `within`" if fresh and value & 1 else ""
        return f"rule {rule.file}:{rule.line}{asks}"
    if table == "within":
        return f"a login at most {durations.words(value)} old"
    if table == "buckets":
        return f"pattern {value >> 32}, rules at {value & 0xFFFF_FFFF}"
    if table in ("judge", "judge_pages"):
        verdict = Verdict(value & (1 << VERDICT_BITS) - 1)
        return f"{verdict.label} by rule {value >> VERDICT_BITS} of these" if verdict else "no rule matches"
    pointer = manifest.parameters.get("route4_pointer", 0)
    if table.startswith("route4_") and value & pointer:
        return f"node {value & ~pointer}"
    doc = next((one.doc for one in manifest.tables if one.name == table), "")
    return _LAST.get(doc.rpartition(" to ")[2], doc.rpartition(" to ")[2])


_LAST = {"class or node": "destination class", "class": "destination class"}
"""Tables' own words for their entries, where they need others out of their place."""


def _engines(trace: Trace) -> Iterator[str]:
    from wardgate.compiler.explain.answer import Answer

    told: Answer | None = None
    yield "engines"
    for name, said in trace.engines.items():
        if not isinstance(said, Answer):
            yield from textwrap.wrap(
                f"not asked: {said}", _WIDTH, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13
            )
            continue
        if said == told:
            yield f"  {name:<10} the same"
            continue
        told = told or said
        fate = "pass" if said.passes else f"drop: {said.reason.label}"
        rule = f", {said.rule.file}:{said.rule.line}:{said.rule.column}" if said.rule else ""
        yield columns.cut(f"  {name:<10} {said.verdict.label}, {fate}, {said.prefix or '-'}{rule}", _WIDTH)
    if not trace.agree:
        yield "THE ENGINES DISAGREE: this is a fault of Wardgate's. Please report it with this trace."
