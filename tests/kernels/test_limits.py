"""How large tables and per-CPU values may be is the same on every kernel."""

from __future__ import annotations

MARK = 0x1234
"""The last entry of each table, which a program read."""


def test_tables_may_be_larger_than_kmalloc_gives(facts):
    tables = facts("limits")["tables"]
    assert [size for size in tables if int(size) > 4 << 20]
    assert set(tables.values()) == {MARK}


def test_per_cpu_values_may_not(facts):
    assert facts("limits")["per CPU"]["32768"] == 32768
    assert "E2BIG" in facts("limits")["per CPU"]["32776"]
