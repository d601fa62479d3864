"""Sizes as they are read and written."""

import pytest
from wardgate.cli.size import LARGEST, parse
from wardgate.compiler.costs.sizes import size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("65536", 65_536),
        ("512KiB", 512 << 10),
        ("64MiB", 64 << 20),
        ("1GiB", 1 << 30),
        ("1024GiB", LARGEST),
    ],
)
def test_sizes(text, count):
    assert parse(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "MiB", "64M", "64MB", "64 MiB", "64mib", "-1", "1.5MiB", "0", "0KiB", "1025GiB", "٦٤MiB", "1e6"],
)
def test_not_sizes(text):
    with pytest.raises(ValueError, match=r"64MiB|1 TiB"):
        parse(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (134 << 20, "134 MiB"), ((5 << 30) // 2, "2.5 GiB")],
)
def test_sizes_shown(count, text):
    assert size(count) == text
