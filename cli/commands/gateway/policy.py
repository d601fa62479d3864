"""`wardgate gateway policy`: what is in force, and what comes after it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from wardgate.cli import gateway_words, options
from wardgate.cli.bundles import read_bundle, write_bundle
from wardgate.cli.console import Console
from wardgate.cli.control import Client, gateway
from wardgate.cli.failures import POLICY_SAYS_NO
from wardgate.cli.lazily import Group


@click.group("policy", cls=Group)
def policy_command() -> None:
    """Show, apply and roll back the gateway's policy."""


@policy_command.command("show")
@click.argument("number", metavar="[NUMBER]", type=click.IntRange(1), required=False)
@click.option(
    "-o", "--output", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
    help="Write its files there.",
)  # fmt: skip
@gateway
@options.common
@options.pass_console
def show_command(console: Console, gateway: Client, number: int | None, output: Path | None) -> None:
    """Print the text of the policy in force, or of the one with a number."""
    found = gateway.get("policy", number=number)
    if output is not None:
        from wardgate.gateway.compiling.bundles import Bundle

        write_bundle(Bundle(found["main"], found["files"]), output)
    if console.json:
        console.document(found)
        return
    console.note(_line(found) + ("" if found["current"] else ", not in force"))
    if output is not None:
        console.note(gateway_words.plain(f"written: {output / found['main']}"))
        return
    for name in found["names"]:
        if len(found["names"]) > 1:
            console.text(f"# {gateway_words.plain(name)}")
        console.text(found["files"][name].rstrip("\n"))


@policy_command.command("history")
@gateway
@options.common
@options.pass_console
def history_command(console: Console, gateway: Client) -> None:
    """Show the policies that were in force, the latest last."""
    policies = gateway.get("policy", "history")
    if console.json:
        console.document(policies)
    elif not policies:
        console.text("there is no policy; apply one: wardgate gateway policy apply FILE")
    else:
        rows = [
            (
                policy["number"],
                gateway_words.moment(policy["applied"]),
                policy["digest"][:12],
                policy["main"],
                policy["by"],
            )
            for policy in policies
        ]
        console.text(gateway_words.table(rows, ("number", "applied (UTC)", "digest", "file", "by")))


@policy_command.command("apply")
@click.argument("policy", metavar="POLICY", type=options.FILE)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would change, and change nothing.")
@gateway
@options.common
@options.pass_console
def apply_command(console: Console, gateway: Client, policy: Path, yes: bool, only_plan: bool) -> int:
    """Check a policy, show whose access it changes, ask, and bring it into force.

    Exit status 1, and nothing is changed, if it has an error, or if any of its tests or assertions fails.
    What it includes is sent along, and lies in its folder or below."""
    if yes and only_plan:
        raise click.UsageError("--yes and --plan exclude each other")
    if not (yes or only_plan) and (console.json or not sys.stdin.isatty()):
        raise click.UsageError("there is nobody to ask: give --yes to apply it, or --plan to look at it")
    bundle = read_bundle(policy)
    body = {"bundle": {"main": bundle.main, "files": dict(bundle.files)}}
    plan = gateway.post("policy", "plan", body=body)
    _show(console, plan)
    if not plan["ok"]:
        return _end(console, plan, None, POLICY_SAYS_NO, f"{policy}: refused; nothing is changed")
    if only_plan:
        return _end(console, plan, None, 0, "nothing is changed")
    if not yes and not click.confirm("Apply it?", err=True):
        return _end(console, plan, None, POLICY_SAYS_NO, "nothing is changed")
    applied = gateway.post("policy", "apply", body={**body, "plan_digest": plan["digest"]})
    return _end(console, plan, applied, 0, f"in force: {_line(applied)}")


@policy_command.command("rollback")
@click.option("--yes", is_flag=True, help="Do not ask.")
@gateway
@options.common
@options.pass_console
def rollback_command(console: Console, gateway: Client, yes: bool) -> int:
    """Bring back the policy before the one in force."""
    if not yes and (console.json or not sys.stdin.isatty()):
        raise click.UsageError("there is nobody to ask: give --yes")
    current = gateway.get("policy")
    if not yes:
        console.note(f"in force: {_line(current)}")
        if not click.confirm("Go back to the policy before it?", err=True):
            console.note("nothing is changed")
            return POLICY_SAYS_NO
    applied = gateway.post("policy", "rollback", body={"number": current["number"]})
    if console.json:
        console.document(applied)
    console.text(f"in force again: {_line(applied)}")
    return 0


def _show(console: Console, plan: Mapping[str, Any]) -> None:
    if plan["diagnostics_text"]:
        console.note(plan["diagnostics_text"])
    if plan["difference_text"]:
        console.text(plan["difference_text"])


def _end(
    console: Console, plan: Mapping[str, Any], applied: Mapping[str, Any] | None, status: int, text: str
) -> int:
    if console.json:
        console.document({"ok": not status, "status": status, "applied": applied, "plan": plan})
    console.note(text)
    return status


def _line(policy: Mapping[str, Any]) -> str:
    when = gateway_words.moment(policy["applied"])
    what = f"policy {policy['number']} ({policy['main']}, {policy['digest'][:12]})"
    return gateway_words.plain(f"{what}, applied {when} UTC by {policy['by']}")
