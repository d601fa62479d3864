"""Programs put together: order of functions, calls, references, tables."""

from __future__ import annotations

import struct

from wardgate.runtime.elf import read_object
from wardgate.runtime.relocate import link_program
from wardgate.runtime.spec import Target

FDS = {"devices": 11, "untyped": 12, "hits": 13, "events": 14, ".rodata.t_port": 21, ".data": 22, ".bss": 23}


def instruction(code: bytes, index: int) -> tuple[int, int, int]:
    """Opcode, source register, constant."""
    opcode, registers, _, constant = struct.unpack_from("<BBhi", code, index * 8)
    return opcode, registers >> 4, constant


def test_called_functions_follow_once_in_the_order_of_calls(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    linked = link_program(spec, spec.programs["calls"], FDS)
    main, twice, port_of = (
        function.instructions
        for function in (spec.programs["calls"], spec.functions["twice"], spec.functions["port_of"])
    )
    assert len(linked.instructions) == len(main) + len(twice) + len(port_of)
    starts = {"twice": len(main) // 8, "port_of": (len(main) + len(twice)) // 8}
    for base, function in ((0, spec.programs["calls"]), (starts["twice"], spec.functions["twice"])):
        for one in function.relocations:
            if one.target is Target.FUNCTION:
                index = base + one.index
                assert instruction(linked.instructions, index) == (0x85, 1, starts[one.name] - index - 1)


def test_references_to_maps_and_data(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    linked = link_program(spec, spec.programs["statics"], FDS)
    for one in spec.programs["statics"].relocations:
        assert instruction(linked.instructions, one.index) == (0x18, 2, FDS[one.name])
        assert instruction(linked.instructions, one.index + 1) == (0, 0, one.offset)
    linked = link_program(spec, spec.programs["emits"], FDS)
    for one in spec.programs["emits"].relocations:
        assert instruction(linked.instructions, one.index) == (0x18, 1, FDS[one.name])


def test_tables_cover_every_function(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    linked = link_program(spec, spec.programs["calls"], FDS)
    functions = list(struct.iter_unpack("<II", linked.func_info))
    main, twice = spec.programs["calls"], spec.functions["twice"]
    assert [index for index, _ in functions] == [
        0,
        len(main.instructions) // 8,
        (len(main.instructions) + len(twice.instructions)) // 8,
    ]
    lines = [row[0] for row in struct.iter_unpack("<IIII", linked.line_info)]
    assert lines == sorted(set(lines)) == [line.index for line in linked.lines]
    assert {index for index, _ in functions} <= set(lines)
    assert any("return t_port[number & 255]" in line.text for line in linked.lines)
    assert all(line.file.endswith("object.c") and line.line > 0 for line in linked.lines)


def test_a_program_that_calls_nothing_stays_as_it_is(generic_object: bytes) -> None:
    spec = read_object(generic_object)
    linked = link_program(spec, spec.programs["direct"], FDS)
    assert len(linked.instructions) == len(spec.programs["direct"].instructions)
    assert linked.name == "direct"
