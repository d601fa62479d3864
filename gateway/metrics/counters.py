"""What the gateway counts as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
)
from wardgate.gateway.metrics.catalogue import ENROLMENTS, FAILURES, LAST_FAILURE, LOGINS, Metric

LoginResult = Literal["ok", "wrong", "refused"]
EnrolmentResult = Literal["ok", "refused"]

_LOGIN_RESULTS: Final[tuple[LoginResult, ...]] = ("ok", "wrong", "refused")
_ENROLMENT_RESULTS: Final[tuple[EnrolmentResult, ...]] = ("ok", "refused")


class Counters:
    """Counters of one gateway, with those of its process. Labels are words of ours, never what a peer sent:
    a label that anybody can choose makes a time series for each choice. `methods`: those of the second
    factor, so that each is there from the start and a first failure is seen as a change from 0."""

    def __init__(self, methods: tuple[str, ...] = (), now: Callable[[], float] = time.time) -> None:
        # A series more for each counter, that says when it began: the process's start does too.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = CollectorRegistry(auto_describe=False)
        self._now = now
        self._methods = methods
        self._logins = self._counter(LOGINS)
        self._enrolments = self._counter(ENROLMENTS)
        self._failures = self._counter(FAILURES)
        self._last_failure = Gauge(
            LAST_FAILURE.name, LAST_FAILURE.help, LAST_FAILURE.labels, registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        for method in methods:
            for result in _LOGIN_RESULTS:
                self._logins.labels(method, result)
        for outcome in _ENROLMENT_RESULTS:
            self._enrolments.labels(outcome)

    def login(self, method: str, result: LoginResult) -> None:
        """A login was tried; a `method` that the gateway does not have counts as `unknown`."""
        self._logins.labels(method if method in self._methods else "unknown", result).inc()

    def enrolment(self, result: EnrolmentResult) -> None:
        """An enrolment was tried."""
        self._enrolments.labels(result).inc()

    def failed(self, part: str) -> None:
        """Something went wrong in a part of the gateway: `enforcement`, `policy`, `roaming`, ..."""
        self._failures.labels(part).inc()
        self._last_failure.labels(part).set(self._now())

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)
