"""An answer with all that it follows from: the policy's side, the program's side, and every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardgate.compiler.explain.answer import Answer
from wardgate.compiler.explain.derivation import Derivation, derive, derive_from_tables
from wardgate.compiler.explain.engines import ReferenceEngine, VmEngine
from wardgate.compiler.explain.path import CodeLine, Path, PathObserver
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language.model import Policy
from wardgate.runtime.layout.manifest import Manifest

Ask = Callable[[Query], Answer]


@dataclass(frozen=True, slots=True)
class Trace:
    """`engines` has each engine's answer by its name, or in words why it gave none."""

    derivation: Derivation
    path: Path
    manifest: Manifest
    engines: Mapping[str, Answer | str]

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Those that answered."""
        return {name: said for name, said in self.engines.items() if isinstance(said, Answer)}

    @property
    def agree(self) -> bool:
        """Whether all engines that answered say the same."""
        return len(set(self.answers.values())) <= 1

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        told = ("verdict", "within", "pass", "reason", "prefix", "rule")
        engines: dict[str, Any] = {}
        for name, said in self.engines.items():
            if isinstance(said, Answer):
                fields = said.to_json()
                engines[name] = {key: fields[key] for key in told}
            else:
                engines[name] = {"unavailable": said}
        return {**self.derivation.to_json(), "program": self.path.to_json(), "engines": engines}


def trace(
    query: Query,
    artefact: bytes,
    policy: Policy | None,
    lines: Callable[[VmEngine], Sequence[CodeLine]],
    others: Mapping[str, Ask | str],
) -> Trace:
    """Follow `query` through the policy (None: as far as the artefact's tables tell) and through `artefact`.

    `lines` gives the source lines of an engine's image, sorted. `others` are more engines, or why they
    cannot be asked. VmError, EngineError, ManifestError as VmEngine raises them; what an engine of
    `others` raises goes through.
    """
    engine = VmEngine(artefact, observer=PathObserver)
    answer = engine.answer(query)
    observer = engine.observer
    assert isinstance(observer, PathObserver)  # noqa: S101 - made in the line above
    path = observer.path(engine.machine.image, engine.asked, lines(engine))
    engines: dict[str, Answer | str] = {}
    if policy is not None:
        engines["reference"] = ReferenceEngine(policy).answer(query)
        derivation = derive(policy, query)
    else:
        engines["reference"] = "an artefact has no definition to ask, only the policy that it was made from"
        derivation = derive_from_tables(engine.manifest, _rows(artefact), query, answer)
    engines["vm"] = answer
    for name, ask in others.items():
        engines[name] = ask if isinstance(ask, str) else ask(query)
    return Trace(derivation, path, engine.manifest, engines)


def _rows(artefact: bytes) -> Callable[[int], Sequence[int]]:
    """The rows of the matrix of buckets, decoded as the proof decodes them."""
    from wardgate.compiler.validation.encoded import integers, read_artefact, read_encoded
    from wardgate.compiler.validation.matrix import rows_of

    encoded = read_encoded(read_artefact(artefact))
    if not any(name.startswith("reach") for name in encoded.tables):
        # A policy without rules has no matrix.
        return lambda _number: ()
    rows = rows_of(encoded, "reach", range(encoded.parameter("destinations")))

    def row(number: int) -> Sequence[int]:
        found: list[int] = integers(rows.row(number), rows.element).tolist()
        return found

    return row
