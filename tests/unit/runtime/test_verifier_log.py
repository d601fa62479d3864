"""Verifier logs in the forms of several kernels."""

from __future__ import annotations

import pytest
from wardgate.runtime.errors import VerifierError
from wardgate.runtime.relocate import SourceLine
from wardgate.runtime.verifier_log import read_log

LINES = (
    SourceLine(0, "gate.c", 100, 1, "int gate_ingress(struct packet *p)"),
    SourceLine(4, "bpf_templates/lookup.h", 12, 3, "index = t_port[port];"),
    SourceLine(7, "office.yaml", 7, 5, 'allow: ["wiki web"]'),
)

NEW = """\
0: R1=ctx() R10=fp0
; int gate_ingress(struct packet *p) @ gate.c:100
0: (b4) w1 = 0                        ; R1_w=0
; allow: ["wiki web"] @ office.yaml:7
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
OLD = """\
func#0 @0
; int gate_ingress(struct packet *p)
0: (b4) w1 = 0                        ; R1_w=0
; allow: ["wiki web"]
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
verification time 71 usec
stack depth 4
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
JUMP = """\
func#0 @0
jump out of range from insn 5 to 900
processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
BRANCH = """\
from 3 to 7: R0=0 R10=fp0
7: R0=0 R10=fp0
; allow: ["wiki web"] @ office.yaml:7
7: (61) r1 = *(u32 *)(r2 +0)
R2 !read_ok
processed 9 insns (limit 1000000) max_states_per_insn 1 total_states 2 peak_states 2 mark_read 1
"""
HELPER = "4: (85) call unknown#211\ninvalid func unknown#211\nprocessed 5 insns (limit 1000000)\n"
LARGE = "BPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns (limit 1000000)\n"
STRANGE = "something that no kernel says today\nand another line\n"


@pytest.mark.parametrize("log", [NEW, OLD], ids=["6.18", "6.1"])
def test_complaint_and_policy_line(log: str) -> None:
    found = read_log(log, LINES)
    assert found.cause == "R0 invalid mem access 'map_value_or_null'"
    assert (found.location, found.source, found.index) == ("office.yaml:7", 'allow: ["wiki web"]', 7)
    assert "compiler" in found.remedy


def test_line_from_the_log_where_the_program_has_no_table() -> None:
    assert read_log(NEW, ()).location == "office.yaml:7"
    assert read_log(NEW, ()).source == 'allow: ["wiki web"]'
    assert read_log(OLD, ()).location is None


def test_instruction_named_by_the_complaint() -> None:
    found = read_log(JUMP, LINES)
    assert (found.cause, found.index) == ("jump out of range from insn 5 to 900", 5)
    assert found.location == "bpf_templates/lookup.h:12"


def test_state_lines_are_no_complaint() -> None:
    assert read_log(BRANCH, LINES).cause == "R2 !read_ok"
    assert read_log(BRANCH, LINES).index == 7


@pytest.mark.parametrize(("log", "word"), [(HELPER, "newer kernel"), (LARGE, "limit of the verifier")])
def test_remedies(log: str, word: str) -> None:
    assert word in read_log(log, LINES).remedy


def test_unknown_form_falls_back_to_its_end() -> None:
    found = read_log(STRANGE, LINES)
    assert found.cause == "and another line"
    assert found.location is None
    assert read_log("", LINES).cause == "it gave no reason"
    assert read_log("; only @ a.c:1\n", LINES).location == "a.c:1"


def test_the_error_has_three_lines_at_most() -> None:
    found = read_log(NEW, LINES)
    error = VerifierError(
        "'gate_ingress'", found.cause, found.remedy, log=NEW, location=found.location, source=found.source
    )
    lines = str(error).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("load program 'gate_ingress'")
    assert lines[1] == 'at office.yaml:7: allow: ["wiki web"]'
    assert error.log == NEW
