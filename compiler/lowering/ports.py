"""Tables of services: protocol and port to service class."""

from __future__ import annotations

import numpy as np
from wardgate.compiler.language.model import MAX_PORT
from wardgate.compiler.lowering.ragged import Lists, distinct
from wardgate.compiler.lowering.services import ServiceClasses
from wardgate.compiler.lowering.tables import TableData, narrowest, table

PAGE_BITS = 8


def service_tables(services: ServiceClasses) -> list[TableData]:
    """`protocols`, and where ports matter `ports_directory` and `ports_pages`.

    The class of (PORT_PROTOCOLS[k], port) is `pages[directory[k * 256 + port // 256] * 256 + port % 256]`.
    """
    element = narrowest(services.count - 1)
    tables = [table("protocols", element, services.protocols, "protocol to service class")]
    if not services.by_port:
        return tables
    rows = []
    for intervals in services.ports:
        starts, classes = np.array(intervals, np.int64).T
        rows.append(np.repeat(classes, np.diff(starts, append=MAX_PORT + 1)))
    ports = np.concatenate(rows)
    pages = Lists(ports, np.arange(0, len(ports) + 1, 1 << PAGE_BITS))
    directory, first = distinct(pages)
    return [
        *tables,
        table("ports_directory", narrowest(len(first) - 1), directory, "port to page of classes"),
        table("ports_pages", element, pages.take(first).values, "port in its page to service class"),
    ]
