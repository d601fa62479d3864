"""A damaged artefact is refused with an error that says so, or shown: it never breaks the inspector."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wardgate.compiler.inspect import InspectionError, inspect_artefact, read_tables
from wardgate.compiler.inspect.graph import cfg_dot
from wardgate.compiler.inspect.layouts import layout_lines
from wardgate.compiler.inspect.listing import listing_lines
from wardgate.compiler.inspect.summary import summary_document, summary_lines
from wardgate.compiler.inspect.table_text import table_lines
from wardgate.compiler.inspect.ways import Ways
from wardgate.compiler.validation import ValidationError
from wardgate.compiler.vm.errors import VmError
from wardgate.runtime.errors import WardgateError

REFUSALS = (WardgateError, InspectionError, ValidationError, VmError)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_told_of(office, data):
    """Bytes are changed in any section, and in the headers."""
    image = bytearray(office.data)
    # Tables are most of the bytes and would take most of the changes.
    tables = image.index(b"\0" * 4096)
    places = st.one_of(
        st.integers(0, tables), st.integers(len(image) - 112_000, len(image) - 1), st.integers(0, 63)
    )
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        image[place] = data.draw(st.integers(0, 255))
    try:
        found = inspect_artefact(bytes(image))
        assert list(summary_lines(found, "x"))
        assert summary_document(found)
        assert list(listing_lines(found, found.functions.values()))
        assert cfg_dot(tuple(found.functions.values()))
        assert list(layout_lines(found))
        tables = read_tables(found.data, found.manifest)
        for name in (*tables.names, *tables.structures):
            for _ in zip(table_lines(tables, name), range(50), strict=False):
                pass
        Ways(found, tables).of_rules()
    except REFUSALS:
        # Anything else is a fault of the inspector's.
        return
