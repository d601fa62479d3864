"""Who answers queries: the policy's definition, or the artefact's own instructions in the interpreter.

Every engine gives the same answers; tests hold them to that. The third one, which asks the kernel,
needs the runtime and so is not part of the compiler (cli.kernel_engine).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from wardgate.compiler.explain.answer import Answer, RuleReference
from wardgate.compiler.explain.probe import (
    EngineError,
    Probe,
    probe,
    read_answer,
)
from wardgate.compiler.explain.query import Query
from wardgate.compiler.language.model import Policy
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import Session
from wardgate.compiler.vm.clock import SetClock
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine, Result
from wardgate.compiler.vm.maps import ArrayTable, HashTable
from wardgate.compiler.vm.observe import Observer
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.codes import LinkHeader, Reason
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MapLayout

_NOW: Final = 10**15
"""The interpreter's clock stands still: about twelve days after boot."""

_LEFT: Final = (maps.ADDRESSES, maps.TUNNEL4, maps.TUNNEL6, maps.FLOWS, maps.FRAGMENTS)
"""Where a query leaves what could admit the next: the address of its device, or its flow."""


class Engine(Protocol):
    """Answers queries about one policy."""

    def answer(self, query: Query) -> Answer:
        """What happens to the query's packet. EngineError where the engine cannot say."""


class ReferenceEngine:
    """Asks the definition of what the policy means (compiler.semantics)."""

    def __init__(self, policy: Policy) -> None:
        self._evaluator = Evaluator(policy)

    def answer(self, query: Query) -> Answer:
        """What the policy says, and in a session that is there or not, what becomes of the packet."""
        session = Session.AUTHORISED if query.authed else Session.NONE
        decision = self._evaluator.evaluate(query.user, query.packet, session, query.login_age or 0)
        reason = decision.reason
        if query.packet.inbound and reason is Reason.NO_BUCKET:
            # Towards a device, what the policy does not speak of could still be the reply of a flow.
            # The query's packet belongs to none, and that is why it is dropped.
            reason = Reason.NO_FLOW
        prefix = str(decision.prefix) if decision.prefix else None
        rule = RuleReference.of_rule(decision.rule) if decision.rule else None
        return Answer(query, decision.verdict, reason, prefix, rule)


class VmEngine:
    """Runs an artefact in the BPF interpreter. The constructor raises ImageError (compiler.vm) or
    ManifestError (runtime.layout) where `artefact` is not one.

    `manifest`: the artefact's, where it is at hand. With `silent`, programs do not tell of what they let
    pass, as on a gate that nobody watches: then there are no answers, only runs. `observe` as Machine has it;
    `observer` makes the machine's observer, which is then the attribute of this name. `asked` is the program
    that ran last.
    """

    def __init__(
        self,
        artefact: bytes,
        *,
        observe: bool = False,
        manifest: Manifest | None = None,
        silent: bool = False,
        observer: Callable[[Manifest], Observer] | None = None,
    ) -> None:
        image = Image.from_elf(artefact)
        if image.manifest is None:
            raise EngineError("the object has no manifest, so it is no artefact; compile the policy again")
        self.manifest = manifest or Manifest.from_json(image.manifest)
        config = {"trace": int(not silent), "link_header": int(LinkHeader.NONE)}
        sizes = {use.name: use.entries for use in self.manifest.maps}
        self.observer = observer(self.manifest) if observer else None
        self.machine = Machine(
            image, clock=SetClock(_NOW), config=config, sizes=sizes, observe=observe, observer=self.observer
        )
        self.asked = ""

    def answer(self, query: Query) -> Answer:
        """What becomes of the query's packet, as the program's event tells."""
        result = self.run(query)
        return read_answer(self.manifest, query, result.return_value, result.events)

    def run(self, query: Query) -> Result:
        """Put one device of the query's user into the maps, and run its packet."""
        return self.run_probe(self.probe(query))

    def probe(self, query: Query) -> Probe:
        """What is run for a query."""
        return probe(self.manifest, query, _NOW)

    def run_probe(self, question: Probe) -> Result:
        """Put the probe's entries into the maps, and run its packet."""
        for layout in _LEFT:
            table = self._table(layout)
            if table is not None:
                table.clear()
        for entry in question.entries:
            table = self._table(entry.layout)
            if table is not None and (code := table.update(entry.key, entry.value)):
                raise EngineError(f"the map {entry.layout.name} does not take a device (error {-code})")
        self.asked = question.program
        return self.machine.run(question.program, question.packet)

    def _table(self, layout: MapLayout) -> ArrayTable | HashTable | None:
        table = self.machine.maps.get(layout.name)
        return table if isinstance(table, ArrayTable | HashTable) else None
