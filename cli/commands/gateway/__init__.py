"""`wardgate gateway`: the service, and what manages it while it runs."""

from __future__ import annotations

import click
from wardgate.cli.lazily import LazyGroup

_COMMANDS = {
    "init": ("init", "Write settings, a policy, keys and the database."),
    "start": ("start", "Run the gateway."),
    "stop": ("stop", "Take the gateway off the machine."),
    "status": ("status", "Show how the gateway is."),
    "events": ("events", "Show what happens, as it happens."),
    "users": ("users", "Add, list, lock and remove users; their groups."),
    "devices": ("devices", "Add, list, lock and remove devices; their configuration."),
    "tokens": ("tokens", "Issue, list and revoke enrolment tokens."),
    "sessions": ("sessions", "List and end sessions."),
    "policy": ("policy", "Show, apply and roll back the policy."),
    "audit": ("audit", "List, verify and export the audit log."),
    "metrics": ("metrics", "Print metrics in Prometheus' text form."),
    "api": ("api", "Print the control API's description (OpenAPI)."),
}
"""Each subcommand: its module in this package, and its line of help."""


@click.group("gateway", cls=LazyGroup, package=__name__, modules=_COMMANDS)
def gateway_command() -> None:
    """Run a gateway, and manage the one that runs here.

    init, start and stop are for root, and read or write gateway.yaml. The others ask the running gateway, by
    its control socket, which is for root and the group that gateway.yaml names. What they change is in the
    audit log, under the name of who did it.
    """
