"""The text that a scrape gets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from wardgate.gateway.metrics import catalogue
from wardgate.gateway.metrics.catalogue import Metric
from wardgate.gateway.metrics.counters import Counters
from wardgate.gateway.metrics.supplies import Network, Roams, Stored, Supplies
from wardgate.runtime.status import GateStatus

Family = CounterMetricFamily | GaugeMetricFamily | InfoMetricFamily
T = TypeVar("T")

TEXT_FORMAT: Final = CONTENT_TYPE_LATEST
"""The text's media type."""

_log = logging.getLogger("wardgate.gateway.metrics")


@dataclass(frozen=True, slots=True)
class _Read:
    """What was got for one scrape; `failed`: which parts were not."""

    gate: GateStatus | None
    network: Network | None
    roams: Mapping[str, Roams]
    stored: Stored | None
    failed: Mapping[str, bool]


class Metrics:
    """Makes the text, of what was counted and of what `supplies` say now."""

    def __init__(self, counters: Counters, supplies: Supplies) -> None:
        self._counters = counters
        self._supplies = supplies
        self._turn = asyncio.Lock()

    async def text(self) -> str:
        """In Prometheus' text form. Scrapes take turns: each may read thousands of peers."""
        async with self._turn:
            read = await self._read()
            return await asyncio.to_thread(self._text, read)

    async def _read(self) -> _Read:
        failed: dict[str, bool] = {}

        async def attempt(part: str, supply: Awaitable[T], otherwise: T) -> T:
            # Whatever a part raises, the others are shown: metrics are read most when something is broken.
            failed[part] = False
            try:
                return await supply
            except Exception as error:
                failed[part] = True
                _log.warning("cannot read for metrics: %s", error, extra={"part": part})
                return otherwise

        supplies, no_roams = self._supplies, dict[str, Roams]()
        gate = await attempt("gate", asyncio.to_thread(supplies.gate), None)
        network = await attempt("network", asyncio.to_thread(supplies.network), None)
        roams = await attempt("roaming", asyncio.to_thread(supplies.roams), no_roams)
        stored = await attempt("store", supplies.store(), None) if supplies.store else None
        return _Read(gate, network, roams, stored, failed)

    def _text(self, read: _Read) -> str:
        momentary = CollectorRegistry(auto_describe=False)
        momentary.register(_Momentary(read))
        return (generate_latest(momentary) + generate_latest(self._counters.registry)).decode()


def samples(text: str) -> list[dict[str, Any]]:
    """What a scrape said, as plain data: `name`, `labels`, `value` of each sample."""
    return [
        {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


class _Momentary(Collector):
    """The metrics of one scrape."""

    def __init__(self, read: _Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """As prometheus_client has it."""
        read = self._read
        yield _info(catalogue.BUILD, version("wardgate"))
        if read.gate is not None:
            yield from _of_gate(read.gate)
        if read.network is not None:
            yield _gauge(catalogue.PEERS, read.network.peers)
            # No counters: they fall when a peer is removed, which Prometheus would take for a new beginning.
            yield _gauge(catalogue.RECEIVED, read.network.received)
            yield _gauge(catalogue.SENT, read.network.sent)
        if read.roams:
            yield _counter(catalogue.ROAMS, {(name,): one.roams for name, one in read.roams.items()})
            yield _counter(catalogue.DUMPS, {(name,): one.dumps for name, one in read.roams.items()})
            yield _counter(catalogue.MISSED, {(name,): one.missed for name, one in read.roams.items()})
        if read.stored is not None:
            yield _gauge(catalogue.USERS, read.stored.users)
            yield _gauge(catalogue.DEVICES, read.stored.devices)
            yield _gauge(catalogue.TOKENS, read.stored.tokens)
            yield _gauge(catalogue.REVISION, read.stored.revision)
        yield _gauges(catalogue.UNREAD, {(part,): failed for part, failed in read.failed.items()})


def _of_gate(status: GateStatus) -> Iterator[Family]:
    yield _gauge(catalogue.ENFORCING, status.enforcing)
    yield _gauge(catalogue.GENERATION, status.generation or 0)
    yield _info(catalogue.POLICY, status.digest)
    yield _gauge(catalogue.RULES, len(status.rule_hits))
    counts = {
        (direction.name.lower(), reason.label): count
        for direction, reasons in status.counters.items()
        for reason, count in reasons.items()
    }
    yield _counter(catalogue.PACKETS, {labels: count.packets for labels, count in counts.items()})
    yield _counter(catalogue.BYTES, {labels: count.bytes for labels, count in counts.items()})
    yield _gauges(catalogue.SESSIONS, {(state.value,): count for state, count in status.sessions.items()})


def _gauge(metric: Metric, value: float) -> GaugeMetricFamily:
    return _gauges(metric, {(): value})


def _gauges(metric: Metric, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family


def _counter(metric: Metric, values: Mapping[tuple[str, ...], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _info(metric: Metric, value: str) -> InfoMetricFamily:
    family = InfoMetricFamily(metric.name, metric.help)
    family.add_metric((), {metric.labels[0]: value})
    return family
