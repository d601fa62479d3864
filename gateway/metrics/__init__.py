"""What Prometheus can know of a gateway. docs/metrics.md has the list.

`counters` are told what happens, `supplies` what is read when somebody scrapes; `exposition` makes the text
of both, `endpoint` serves it on a TCP address."""

from wardgate.gateway.metrics.catalogue import METRICS, Metric, table
from wardgate.gateway.metrics.counters import Counters
from wardgate.gateway.metrics.exposition import TEXT_FORMAT, Metrics
from wardgate.gateway.metrics.supplies import Network, Roams, Stored, Supplies, stored

__all__ = [
    "METRICS",
    "TEXT_FORMAT",
    "Counters",
    "Metric",
    "Metrics",
    "Network",
    "Roams",
    "Stored",
    "Supplies",
    "stored",
    "table",
]
