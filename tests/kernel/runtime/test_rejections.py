"""This kernel's verifier rejects what it should, and the error says where and how it came to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rejected_programs import CASES, SLOW, compile_cases
from wardgate.runtime.elf import read_object
from wardgate.runtime.errors import VerifierError
from wardgate.runtime.object import load_object
from wardgate.runtime.verifier_log import _STATISTICS

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rejected")
    compile_cases(folder, set(CASES) - set(SLOW))
    return folder


@pytest.mark.parametrize("case", sorted(set(CASES) - set(SLOW)))
def test_rejected(rejected: Path, case: str) -> None:
    expected = CASES[case]
    with pytest.raises(VerifierError) as caught:
        load_object(read_object((rejected / f"{case}.o").read_bytes()))
    error = caught.value
    assert re.search(expected.cause, error.cause)
    if expected.place:
        assert error.location == expected.place
    assert expected.shown in "\n".join(error.excerpt)
    assert len(str(error).splitlines()) <= 3
    assert _STATISTICS.match(error.log.strip().splitlines()[-1])
