"""The certificate of an artefact, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from surveys import KIB
from wardgate.cli import certificate as shown
from wardgate.cli.main import main
from wardgate.compiler import Artefact, compile_parsed
from wardgate.compiler.costs import BudgetError, certify, justify
from wardgate.compiler.language import parse_policy_text
from wardgate.compiler.vm.image import Image
from wardgate.runtime.layout.manifest import Certificate, Manifest, Table

OFFICE = """\
version: 1
tunnel: [10.9.0.0/24, "fd09::/64"]
policies:
  "*":
    allow: ["10.0.0.5 80/tcp", "fd00::53 53/any"]
    mfa: ["10.1.0.0/16"]
"""
FIXED = 4 * KIB
"""Room for what every plan has."""
