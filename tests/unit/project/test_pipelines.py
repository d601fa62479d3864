"""What pipelines are given: a hook and a workflow, whose commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import yaml
from wardgate.cli.main import commands

ROOT = Path(__file__).resolve().parents[3]
HOOKS = ROOT / ".pre-commit-hooks.yaml"
WORKFLOW = ROOT / "examples" / "github-actions.yml"


def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def options_of(name: str) -> set[str]:
    """The options of a subcommand."""
    with commands.make_context("wardgate", [name], resilient_parsing=True) as context:
        command = commands.get_command(context, name)
    assert command is not None, f"there is no wardgate {name}"
    return {
        word for parameter in command.params for word in parameter.opts if isinstance(parameter, click.Option)
    }


def used(text: str) -> list[list[str]]:
    """The calls of wardgate in a script, as words."""
    found = []
    for line in text.splitlines():
        call = re.search(r"\bwardgate ([a-z]+.*)", line.partition("#")[0])
        if call:
            words = shlex.split(re.split(r"\s(?:>>?|\|\|)\s", call[1])[0])
            found.append(words)
    return found


def assert_exists(words: list[str]) -> None:
    name, given = words[0], {word for word in words if word.startswith("--")}
    assert given <= options_of(name)


def test_the_hook_calls_a_command_that_exists() -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    words = hook["entry"].split()
    assert words[0] == "wardgate"
    assert_exists(words[1:])
    assert re.search(hook["files"], "policies/office.yaml")


def test_the_workflow_calls_commands_that_exist() -> None:
    steps = workflow()["jobs"]["check"]["steps"]
    calls = [words for step in steps for words in used(step.get("run", ""))]
    assert [words[0] for words in calls] == ["check", "diff"]
    for words in calls:
        assert_exists(words)


def test_the_workflow_uploads_what_check_writes() -> None:
    steps = {step.get("name", step.get("uses")): step for step in workflow()["jobs"]["check"]["steps"]}
    written = re.search(r"> (\S+)", steps["Check the policy"]["run"])
    assert written is not None
    upload = steps["Show what was found beside the lines"]
    assert upload["with"]["sarif_file"] == written[1]
    # Also after a check that fails, whose errors are what is to be shown.
    assert upload["if"].startswith("always()")
    assert workflow()["permissions"]["security-events"] == "write"
