"""A cost certificate as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wardgate.cli import columns

if TYPE_CHECKING:
    from wardgate.runtime.layout.manifest import Certificate, Choice, PathCost

_WIDTH = 78


def lines(certificate: Certificate) -> Iterator[str]:
    """The certificate, in lines of at most 78 columns."""
    from wardgate.compiler.costs.sizes import size

    yield f"cost certificate, for a gate with {certificate.devices:,} devices; ns where traffic is"
    yield f"{'hot':>62}{'busy':>7}{'spread':>7}"
    for choice in certificate.choices:
        yield from _choice(choice)
    if certificate.paths:
        header = ("a TCP segment", "table loads", "map lookups", "counters", "hot", "busy", "spread")
        yield from columns.align([_path(path) for path in certificate.paths], header, _WIDTH).splitlines()
    yield (
        f"tables: {size(certificate.table_bytes)}, in the kernel {size(certificate.kernel_table_bytes)}; "
        f"spread traffic touches {size(certificate.touched)}"
    )
    maps = certificate.maps
    yield (
        f"maps: {size(sum(one.bytes for one in maps))}, of which {sum(one.slot for one in maps)} B a device; "
        f"and {size(sum(one.processor for one in maps))} a CPU,"
    )
    yield f"  {sum(one.address for one in maps)} B for each address that no index covers"
    if certificate.linux:
        yield f"needs Linux {certificate.linux}: its largest table has {size(certificate.largest_table)}"


def _choice(choice: Choice) -> Iterator[str]:
    from wardgate.compiler.costs.reasons import form
    from wardgate.compiler.costs.sizes import size

    shown = form(choice.structure, choice.variant, choice.parameter)
    loads = f"{choice.loads} load{'s' * (choice.loads != 1)}" if choice.loads else ""
    yield (
        f"{choice.structure:8}{shown:27}{loads:>9}{size(choice.bytes):>11}"
        f"{_ns(choice.hot):>7}{_ns(choice.busy):>7}{_ns(choice.spread):>7}"
    )
    yield columns.cut(f"        next best: {choice.reason}", _WIDTH)


def _path(path: PathCost) -> tuple[str, ...]:
    counts = (path.table_loads, path.map_lookups, path.counters)
    times = (path.hot, path.busy, path.spread)
    return (path.packet, *(str(count) for count in counts), *map(_ns, times))


def _ns(picoseconds: int | None) -> str:
    if picoseconds is None:
        return "-"
    return f"{picoseconds / 1000:.{1 if picoseconds < 100_000 else 0}f}"
