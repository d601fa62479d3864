"""What people and programs get to see: the summary, the listing, the layouts."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from wardgate.compiler.inspect import inspect_artefact
from wardgate.compiler.inspect.helpers import HELPERS
from wardgate.compiler.inspect.layouts import data_layouts, layout_lines, map_layouts
from wardgate.compiler.inspect.listing import listing_lines
from wardgate.compiler.inspect.model import ReferenceKind
from wardgate.compiler.inspect.requirements import UNKNOWN, oldest_kernel, requirements
from wardgate.compiler.inspect.summary import sizes, summary_lines
from wardgate.compiler.vm import helpers as interpreter
from wardgate.compiler.vm import isa
from wardgate.runtime.layout import features
from wardgate.runtime.layout.maps import MAPS_BY_NAME
from wardgate.runtime.layout.records import CONFIG

TERMINAL = (80, 24)


def test_the_summary_is_one_screen(example):
    lines = list(summary_lines(example, "policy.o"))
    assert len(lines) <= TERMINAL[1]
    assert all(len(line) <= TERMINAL[0] for line in lines)


def test_the_summary_of_many_users_is_one_screen(inspected):
    users = ", ".join(f"user-with-a-long-name-{number}" for number in range(300))
    rules = "\n".join(f"  user-with-a-long-name-{n}: {{allow: [10.0.0.{n}]}}" for n in range(60))
    groups = f"groups: {{'group:all': [{users}]}}"
    text = f"version: 1\n{groups}\npolicies:\n  group:all: {{mfa: [10.1.0.0/16]}}\n{rules}"
    lines = list(summary_lines(inspected(text), "n" * 200))
    assert len(lines) <= TERMINAL[1]
    assert all(len(line) <= TERMINAL[0] for line in lines)


def test_the_summary_says_what_is_there(office):
    text = "\n".join(summary_lines(office, "office.o"))
    for words in (
        office.manifest.digest[:16],
        "unsigned",
        "9 rules (2 inbound), 15 buckets",
        "alice 2, bob 3, carol 4",
        "gate_ingress",
        f"{office.functions['gate_xdp'].worst:,}",
        f"{office.size:,}",
    ):
        assert words in text


def test_sizes_add_up(example):
    found = sizes(example)
    assert sum(found.values()) == example.size
    assert found["tables"] == sum(table.element * table.count for table in example.manifest.tables)
    assert all(count >= 0 for count in found.values())


def test_every_feature_and_helper_has_a_release(example):
    needed = requirements(example)
    assert set(example.manifest.features) <= {one.feature for one in needed}
    assert UNKNOWN not in {one.linux for one in needed}
    called = {
        one.reference.name
        for _, one in example.instructions
        if one.reference and one.reference.kind is ReferenceKind.HELPER
    }
    assert called <= {one.feature for one in needed}
    versions = [tuple(map(int, one.linux.split("."))) for one in needed]
    assert versions == sorted(versions, reverse=True)
    assert oldest_kernel(needed) == needed[0].linux


def test_what_is_not_known_is_said(office):
    manifest = replace(office.manifest, features=(*office.manifest.features, "levitation"))
    needed = requirements(replace(office, manifest=manifest))
    assert (needed[0].feature, needed[0].linux) == ("levitation", UNKNOWN)
    assert oldest_kernel(needed) == UNKNOWN


def test_releases_are_known_for_all_that_an_artefact_may_need():
    found = requirements_of_nothing(features.ARTEFACT_FEATURES)
    assert set(features.ARTEFACT_FEATURES) <= {one.feature for one in found}
    names = {number: name for number, (name, _, _) in interpreter.HELPERS.items()}
    assert {number: f"bpf_{name}" for number, name in names.items()}.items() <= {
        number: name for number, (name, _) in HELPERS.items()
    }.items()


def requirements_of_nothing(names):
    """The requirements that come with features alone."""
    manifest = SimpleNamespace(features=names, certificate=None)
    nothing = SimpleNamespace(manifest=manifest, programs=(), spec=SimpleNamespace(maps={}), instructions=())
    found = requirements(nothing)
    assert UNKNOWN not in {one.linux for one in found}
    return found


def test_map_layouts_are_those_of_the_records(office):
    found = {one.name: one for one in map_layouts(office)}
    assert set(found) == {use.name for use in office.manifest.maps}
    for name, seen in found.items():
        known = MAPS_BY_NAME[name]
        for record, layout in ((known.key, seen.key), (known.value, seen.value)):
            if record is None:
                assert layout is None or layout.fields == ()
                continue
            assert (layout.name, layout.size) == (f"struct {record.name}", record.size)
            assert {field.name: field.offset for field in layout.fields} == record.offsets
            assert [field.size for field in layout.fields] == [field.size for field in record.fields]
            assert [field.doc for field in layout.fields] == [field.doc for field in record.fields]


def test_data_layouts(office):
    found = {one.name: one for one in data_layouts(office)}
    assert set(found) == {table.name for table in office.manifest.tables} | {".rodata.config"}
    config = found[".rodata.config"]
    assert {field.name: field.offset for field in config.fields} == CONFIG.offsets
    assert len(list(layout_lines(office))) > len(found)


def test_the_listing_is_the_code(office):
    """Read back, its bytes are the artefact's."""
    for function in office.functions.values():
        code = bytearray()
        for line in listing_lines(office, [function]):
            if match := re.fullmatch(r" *\d+:\t([0-9a-f ]+)\t.*", line):
                code += bytes.fromhex(match[1])
        spec = office.spec.programs.get(function.name) or office.spec.functions[function.name]
        assert bytes(code) == spec.instructions


def test_the_listing_names_each_line_before_its_instructions(office):
    shown = None
    expected = iter(list(office.functions["gate_ingress"].instructions))
    for line in listing_lines(office, [office.functions["gate_ingress"]]):
        if line.startswith("; "):
            shown = line[2:]
        elif re.match(r" *\d+:\t", line):
            one = next(expected)
            assert shown == f"{one.origin}: {one.origin.text}"
            if one.reference and one.reference.kind is not ReferenceKind.HELPER:
                assert one.reference.name in line
    assert next(expected, None) is None


def test_a_stripped_artefact_can_be_inspected(office):
    """Without line info nothing has an origin, and all else is there."""
    bare = office.data.replace(b"\0.BTF.ext\0", b"\0.BTF.old\0")
    assert bare != office.data
    try:
        found = inspect_artefact(bare)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error}")
    assert not any(one.origin.known for _, one in found.instructions)
    assert any(line == "; of unknown origin" for line in listing_lines(found, found.programs))
    assert [one.text for _, one in found.instructions] == [one.text for _, one in office.instructions]
    assert all(one.code.code != isa.LD for _, one in found.instructions)
