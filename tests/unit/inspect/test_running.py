"""The interpreter runs exactly what the listing shows."""

from __future__ import annotations

from wardgate.compiler.explain.engines import VmEngine
from wardgate.compiler.explain.query import Query
from wardgate.compiler.inspect.blocks import calls_function

QUERIES = [
    Query.parse(user, address, service, authed=authed, inbound=inbound)
    for user, authed in (("alice", False), ("carol", True), ("stranger", False))
    for address in ("10.0.0.5", "10.1.2.3", "fd00:1::8")
    for service in ("443/tcp", "53/udp", "icmp", "proto/47")
    for inbound in (False, True)
]


class Walker:
    """Follows a trace through the blocks and edges of an inspection."""

    def __init__(self, inspection, image, trace):
        self.functions, self.image = inspection.functions, image
        self.trace, self.place = trace, 0

    def function(self, function):
        entry = self.image.functions[function.name]
        block = function.blocks[0]
        while True:
            for one in block.instructions:
                pc = self.trace[self.place]
                assert pc == entry + one.index, f"{function.name} {block.label}"
                assert self.image.code[pc] == one.code
                self.place += 1
                if calls_function(one):
                    self.function(self.functions[one.reference.name])
            if not block.edges:
                return
            following = [function.blocks[edge.to] for edge in block.edges]
            starts = {entry + one.instructions[0].index: one for one in following}
            assert self.trace[self.place] in starts
            block = starts[self.trace[self.place]]


def test_the_interpreter_follows_the_listing(office):
    engine = VmEngine(office.data, observe=True)
    machine = engine.machine
    for query in QUERIES:
        machine.trace.clear()
        engine.answer(query)
        program = office.functions["gate_egress" if query.packet.inbound else "gate_ingress"]
        walker = Walker(office, machine.image, machine.trace)
        walker.function(program)
        assert walker.place == len(machine.trace) <= program.worst, query
