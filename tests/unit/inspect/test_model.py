"""What an inspection says of instructions: origins, blocks, jumps, loops, references, calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler import compile_policy
from wardgate.compiler.codegen.specialise import read_template
from wardgate.compiler.inspect import InspectionError, inspect_artefact
from wardgate.compiler.inspect.blocks import basic_blocks, longest_way, loops
from wardgate.compiler.inspect.disassembly import disassemble
from wardgate.compiler.inspect.model import (
    UNKNOWN_ORIGIN,
    EdgeKind,
    ListedInstruction,
    ReferenceKind,
    Signature,
)
from wardgate.compiler.vm import isa
from wardgate.compiler.vm.isa import Instruction
from wardgate.runtime.errors import ArtefactError

ROOT = Path(__file__).resolve().parents[3]


def test_every_instruction_stems_from_a_line_of_a_template_or_a_policy(example):
    """Each with the text that stands there."""
    sources = {}
    for function, one in example.instructions:
        origin = one.origin
        assert origin.known, f"{function.name} {one.slot}: {one.text}"
        if origin.file not in sources:
            folder, _, name = origin.file.rpartition("/")
            policy = ROOT / "examples" / origin.file
            sources[origin.file] = (
                read_template(name) if folder == "bpf_templates" else policy.read_text()
            ).splitlines()
        assert sources[origin.file][origin.line - 1].strip() == origin.text
    assert {file.name for file in example.manifest.files} & sources.keys()


def test_either_backend_tells_where_instructions_come_from(tmp_path):
    text = "version: 1\ntunnel: [10.9.0.0/24]\npolicies: {'*': {mfa: ['10.0.0.1 80/tcp', 'fd00::1 icmp']}}\n"
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    for backend in ("llvmlite", "clang"):
        found = inspect_artefact(compile_policy(path, backend=backend).data)
        origins = {one.origin for _, one in found.instructions}
        assert all(origin.known for origin in origins)
        assert {origin.file for origin in origins if not origin.file.startswith("bpf_templates/")} == {
            "policy.yaml"
        }


def test_programs_come_first_and_what_they_call_is_there(example):
    names = list(example.functions)
    assert names[:3] == ["gate_ingress", "gate_egress", "gate_xdp"]
    assert [program.hook for program in example.programs] == ["tc", "tc", "xdp"]
    for program in example.programs:
        reached = example.reached(program)
        assert reached[0] is program
        assert {name for one in reached for name in one.calls} <= {one.name for one in reached}
    met = {one.name for program in example.programs for one in example.reached(program)}
    assert met == set(names), "no function that nobody calls"


def test_slots_are_the_sections_instructions_in_order(example):
    by_section = {}
    for function, one in example.instructions:
        by_section.setdefault(function.section, []).append((one.slot, one.code.slots))
    for name, found in by_section.items():
        place = 0
        for slot, count in sorted(found):
            assert slot == place
            place += count
        assert place * 8 == example.sections[name]


def test_blocks_are_entered_at_their_start_and_left_at_their_end(example):
    for function in example.functions.values():
        place = 0
        starts = [block.instructions[0].index for block in function.blocks]
        for number, block in enumerate(function.blocks):
            assert block.number == number
            for one in block.instructions:
                assert one.index == place
                place += one.code.slots
            assert not any(one.code.jumps for one in block.instructions[:-1])
            last = block.instructions[-1]
            expected = set()
            if last.text != "exit":
                if not last.text.startswith("goto"):
                    expected.add(place)
                if last.code.jumps:
                    expected.add(last.index + 1 + last.code.distance)
            assert {starts[edge.to] for edge in block.edges} == expected


def test_maps_tables_helpers_and_functions_are_named(office):
    named = {kind: set() for kind in ReferenceKind}
    for _, one in office.instructions:
        if one.reference:
            named[one.reference.kind].add(one.reference.name)
        calls_or_addresses = one.text.startswith("call ") or one.raw[1] >> 4
        if one.text.startswith("call "):
            assert one.reference, one.text
        assert one.reference is None or calls_or_addresses or one.code.code == isa.LD_IMM64
    assert named[ReferenceKind.MAP] == set(office.spec.maps)
    assert named[ReferenceKind.TABLE] == {table.name for table in office.manifest.tables}
    assert named[ReferenceKind.DATA] == {".rodata.config"}
    assert named[ReferenceKind.FUNCTION] == set(office.functions) - {
        "gate_ingress",
        "gate_egress",
        "gate_xdp",
    }
    assert all(re.fullmatch(r"bpf_\w+", name) for name in named[ReferenceKind.HELPER])
    assert "bpf_map_lookup_elem" in named[ReferenceKind.HELPER]


def test_an_artefact_without_a_signature_is_unsigned(office):
    assert office.signature is Signature.UNSIGNED


def test_a_signature_is_seen(office):
    place = office.data.index(bytes(96), office.data.index(b'"wardgate":"'))
    assert inspect_artefact(office.data[:place] + b"\1" * 96 + office.data[place + 96 :]).signature in (
        Signature.SIGNED,
    )


def test_what_is_no_artefact_is_refused():
    with pytest.raises(ArtefactError):
        inspect_artefact(b"\x7fELF" + bytes(100))


def listed(codes):
    """Instructions of one slot each, as a function has them."""
    return [
        ListedInstruction(
            index,
            index,
            code,
            isa.encode(code),
            disassemble(code),
            index + 1 + code.distance if code.jumps else None,
            None,
            UNKNOWN_ORIGIN,
            0,
        )
        for index, code in enumerate(codes)
    ]


@st.composite
def functions(draw):
    """A function of a few instructions; jumps go anywhere in it."""
    size = draw(st.integers(1, 9))
    codes = []
    for index in range(size):
        kind = draw(st.sampled_from(("move", "if", "goto", "exit")))
        if index == size - 1 and kind in ("move", "if"):
            kind = "exit"
        to = draw(st.integers(0, size - 1)) - index - 1
        codes.append(
            {
                "move": Instruction(isa.ALU64 | isa.MOV, 0, 0, 0, 1),
                "if": Instruction(isa.JMP | isa.JEQ, 1, 0, to, 7),
                "goto": Instruction(isa.JMP | isa.JA, 0, 0, to, 0),
                "exit": Instruction(isa.JMP | isa.EXIT, 0, 0, 0, 0),
            }[kind]
        )
    return listed(codes)


def following(instructions, index):
    one = instructions[index]
    if one.text == "exit":
        return set()
    found = {one.target} if one.code.jumps else set()
    return found if one.text.startswith("goto") else found | {index + 1}


@given(functions())
def test_loops_are_found_where_there_are_some(instructions):
    blocks = basic_blocks(instructions)
    inside = set()

    def reaches(start):
        seen, pending = set(), [start]
        while pending:
            for to in following(instructions, pending.pop()) - seen:
                seen.add(to)
                pending.append(to)
        return seen

    inside = any(index in reaches(index) for index in range(len(instructions)))
    assert bool(loops(blocks)) is inside
    # Without the edges that go back, nothing comes back.
    for block in blocks:
        seen, pending = set(), [block.number]
        while pending:
            for edge in blocks[pending.pop()].edges:
                if not edge.back and edge.to not in seen:
                    seen.add(edge.to)
                    pending.append(edge.to)
        assert block.number not in seen


@given(functions())
def test_the_longest_way_is_the_longest(instructions):
    blocks = basic_blocks(instructions)

    def longest(index):
        return 1 + max((longest(to) for to in following(instructions, index)), default=0)

    if not loops(blocks):
        assert longest_way(blocks, {}) == longest(0)
    else:
        assert 1 <= longest_way(blocks, {}) <= len(instructions)


def test_conditions_have_two_ways(office):
    for _, block in ((f, b) for f in office.functions.values() for b in f.blocks):
        kinds = [edge.kind for edge in block.edges]
        assert kinds in ([], [EdgeKind.ALWAYS], [EdgeKind.TAKEN, EdgeKind.NOT_TAKEN])


def test_functions_that_call_each_other_without_end_are_refused(office, monkeypatch):
    monkeypatch.setattr("wardgate.compiler.inspect.read.MOST_FRAMES", 2)
    with pytest.raises(InspectionError, match="nest deeper"):
        inspect_artefact(office.data)
