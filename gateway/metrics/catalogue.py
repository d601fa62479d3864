"""Every metric: its name, kind and labels, in one place, so that the documentation cannot differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "info"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` is without the ending that Prometheus gives counters (`_total`) and infos (`_info`); `told`: the
    gateway counts what happens, instead of reading it when somebody scrapes."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    told: bool = False

    @property
    def exposed(self) -> str:
        """The name as Prometheus has it."""
        return self.name + {"counter": "_total", "gauge": "", "info": "_info"}[self.kind]


BUILD: Final = Metric("wardgate", "info", ("version",), "The release.")
ENFORCING: Final = Metric(
    "wardgate_gate_enforcing", "gauge", (), "1 while every hook has its program on a device that is there."
)
GENERATION: Final = Metric(
    "wardgate_gate_generation", "gauge", (), "Generation of the policy that decides; 0: none."
)
RULES: Final = Metric(
    "wardgate_policy_rules_hit", "gauge", (), "Rules that decided something since they apply."
)
POLICY: Final = Metric("wardgate_policy", "info", ("digest",), "The policy that decides.")
PACKETS: Final = Metric(
    "wardgate_packets", "counter", ("direction", "reason"), "Packets by what became of them."
)
BYTES: Final = Metric(
    "wardgate_bytes", "counter", ("direction", "reason"), "Their bytes, from the IP header on."
)
SESSIONS: Final = Metric("wardgate_sessions", "gauge", ("state",), "Devices by the state of their session.")
PEERS: Final = Metric("wardgate_peers", "gauge", (), "Peers of the WireGuard device.")
RECEIVED: Final = Metric(
    "wardgate_wireguard_received_bytes", "gauge", (), "What the peers that there are have sent."
)
SENT: Final = Metric("wardgate_wireguard_sent_bytes", "gauge", (), "What the peers that there are were sent.")
ROAMS: Final = Metric(
    "wardgate_roams", "counter", ("detector",), "Changes of a peer's endpoint that were noticed."
)
DUMPS: Final = Metric(
    "wardgate_roaming_dumps", "counter", ("detector",), "Times that all peers were read for that."
)
MISSED: Final = Metric(
    "wardgate_roaming_missed_packets",
    "counter",
    ("detector",),
    "Packets that came while the kernel could not look where from.",
)
USERS: Final = Metric("wardgate_users", "gauge", (), "Users in the store.")
DEVICES: Final = Metric("wardgate_devices", "gauge", (), "Devices in the store.")
TOKENS: Final = Metric("wardgate_tokens", "gauge", (), "Enrolment tokens in the store.")
REVISION: Final = Metric("wardgate_store_revision", "gauge", (), "The store's revision.")
LOGINS: Final = Metric(
    "wardgate_logins",
    "counter",
    ("method", "result"),
    "Logins that were tried: ok, wrong or refused.",
    told=True,
)
ENROLMENTS: Final = Metric(
    "wardgate_enrolments", "counter", ("result",), "Enrolments that were tried: ok or refused.", told=True
)
FAILURES: Final = Metric(
    "wardgate_failures",
    "counter",
    ("part",),
    "Things that went wrong, by the part of the gateway.",
    told=True,
)
LAST_FAILURE: Final = Metric(
    "wardgate_last_failure_timestamp_seconds",
    "gauge",
    ("part",),
    "When the last of them did, Unix time.",
    told=True,
)
UNREAD: Final = Metric(
    "wardgate_scrape_failed",
    "gauge",
    ("part",),
    "1 where a part could not be read for this scrape, and its metrics are missing.",
)

METRICS: Final = (
    BUILD, ENFORCING, GENERATION, POLICY, RULES, PACKETS, BYTES, SESSIONS, PEERS, RECEIVED, SENT, ROAMS,
    DUMPS, MISSED, USERS, DEVICES, TOKENS, REVISION, LOGINS, ENROLMENTS, FAILURES, LAST_FAILURE, UNREAD,
)  # fmt: skip
"""All of them, besides those of the process (`process_*`, see prometheus_client's ProcessCollector)."""


def table() -> str:
    """The list as a Markdown table."""
    rows = [
        (f"`{metric.exposed}`", metric.kind, " ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS
    ]
    head = ("metric", "kind", "labels", "")
    return "\n".join(
        "| " + " | ".join(cells).rstrip() + " |" for cells in (head, ("---",) * len(head), *rows)
    )
