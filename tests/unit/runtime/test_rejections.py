"""Real logs of real rejections, by kernels 6.1, 6.12 and 6.18: what is made of each.

They are in tests/data/verifier; tests/support/rejected_programs.py has the programs and makes the logs.
"""

from __future__ import annotations

import json
import re

import pytest
from rejected_programs import CASES, DATA
from wardgate.cli.failures import describe
from wardgate.runtime.errors import VerifierError
from wardgate.runtime.relocate import SourceLine
from wardgate.runtime.verifier_log import read_log

KERNELS = ("6.1", "6.12", "6.18")


def fixture(kernel: str, case: str) -> tuple[str, list[SourceLine]]:
    document = json.loads((DATA / f"{case}-{kernel}.json").read_text())
    assert document["kernel"].startswith(f"{kernel}.")
    return document["log"], [SourceLine(*line) for line in document["lines"]]


def test_there_is_a_log_of_each_kernel_for_each_case() -> None:
    assert {path.stem for path in DATA.iterdir()} == {
        f"{case}-{kernel}" for case in CASES for kernel in KERNELS
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", CASES)
def test_complaint_place_and_what_led_there(case: str, kernel: str) -> None:
    expected = CASES[case]
    log, lines = fixture(kernel, case)
    found = read_log(log, lines)
    assert re.search(expected.cause, found.cause), found.cause
    if expected.place:
        assert found.location == expected.place
    assert expected.shown in "\n".join(found.excerpt)
    assert len(found.excerpt) <= 10
    # What is shown is in the log: nothing is made up.
    squeezed = " ".join(log.split())
    for line in found.excerpt:
        code = re.match(r"  (\d+): (.*)", line)
        if code:
            assert f"{code[1]}: {code[2]}"[:60] in squeezed


@pytest.mark.parametrize("kernel", KERNELS)
def test_as_people_see_it(kernel: str) -> None:
    """The line of the policy, and the instruction that made the register what the complaint says."""
    log, lines = fixture(kernel, "missing-value")
    found = read_log(log, lines)
    error = VerifierError(
        "'rejected'", found.cause, found.remedy, log=log, location=found.location, source=found.source,
        excerpt=found.excerpt,
    )  # fmt: skip
    failure = describe(error, verbose=False)
    shown = failure.text.splitlines()
    complaint = "the verifier rejected it: R0 invalid mem access 'map_value_or_null'"
    assert shown[:2] == [f"wardgate: load program 'rejected': {complaint}", "  at office.yaml:7"]
    assert shown[2] == "    bpf_templates/device.h:45"
    assert shown[3].startswith("      6: (85) call bpf_map_lookup_elem#1 ; R0")
    assert shown[4:6] == ["    office.yaml:7", "      7: (79) r0 = *(u64 *)(r0 +0)"]
    assert log.splitlines()[0] not in failure.text
    assert log.rstrip() in describe(error, verbose=True).text
    (place,) = failure.document["diagnostics"]
    assert (place["file"], place["line"], place["code"]) == ("office.yaml", 7, "verifier")


def test_where_the_verifier_went_round() -> None:
    log, lines = fixture("6.18", "too-many-steps")
    assert any("bpf_templates/parse.h:91 (in " in line for line in read_log(log, lines).excerpt)


@pytest.mark.parametrize("rows", [1, 3, 9])
def test_a_form_that_nobody_knows_shows_its_end(rows: int) -> None:
    log = "\n".join(f"{number} of something else" for number in range(rows)) + "\n"
    found = read_log(log, ())
    assert found.cause == f"{rows - 1} of something else"
    assert found.location is None
    assert found.excerpt == (tuple(log.splitlines()[-4:]) if rows > 1 else ())
