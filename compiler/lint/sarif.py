"""Results of a check as a SARIF 2.1.0 document, which code hosts show beside the lines in question.

The format: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

from wardgate.compiler.language.diagnostics import Code, Diagnostic
from wardgate.compiler.language.model import Position, Rule
from wardgate.compiler.lint.codes import CODES
from wardgate.compiler.lint.findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION = "2.1.0"
FINGERPRINT = "wardgate/v1"
"""Under this name each result has what stays the same when lines are added above it."""

_TEXTS = {
    Code.TEST_FAILED: "A test of the policy fails.",
    Code.ASSERTION_FAILED: "An assertion of the policy doesn't hold.",
}


def sarif_document(
    diagnostics: Sequence[Diagnostic], findings: Sequence[Finding], folder: str = ""
) -> dict[str, Any]:
    """The document. `folder`, empty or with a `/` at its end, comes before each file's name, so that names
    are relative to where the reader looks for files."""
    codes = sorted({one.code for one in diagnostics} | {one.code for one in findings})
    index = {code: number for number, code in enumerate(codes)}
    seen: Counter[str] = Counter()
    results = [_result(one, "", (), index, seen, folder) for one in diagnostics]
    results += [
        _result(one.diagnostic, one.about, one.rules, index, seen, folder, _packet(one)) for one in findings
    ]
    driver = {
        "name": "wardgate",
        "rules": [_rule(code) for code in codes],
        **_version(),
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _version() -> dict[str, str]:
    try:
        return {"version": version("wardgate")}
    except PackageNotFoundError:
        return {}


def _rule(code: Code) -> dict[str, Any]:
    about = CODES.get(code.value)
    if about is None:
        text = _TEXTS.get(code, f"The policy is not well-formed: {code.value}.")
        summary, explained = text, f"{text} The message says what to write instead."
    else:
        summary, explained = about.summary, about.help
    return {
        "id": code.value,
        "name": "".join(word.capitalize() for word in code.value.split("-")),
        "shortDescription": {"text": summary},
        "fullDescription": {"text": explained},
        "help": {"text": explained},
        "defaultConfiguration": {"level": "error" if about is None else "warning"},
    }


def _packet(finding: Finding) -> str:
    return "" if finding.witness is None else f" For example {finding.witness}."


def _result(
    diagnostic: Diagnostic,
    about: str,
    rules: Iterable[Rule],
    index: dict[Code, int],
    seen: Counter[str],
    folder: str,
    example: str = "",
) -> dict[str, Any]:
    message = f"{diagnostic.message}.{example}"
    if diagnostic.remedy:
        message += f" To mend it: {diagnostic.remedy}."
    result: dict[str, Any] = {
        "ruleId": diagnostic.code.value,
        "ruleIndex": index[diagnostic.code],
        "level": diagnostic.severity.value,
        "message": {"text": message},
        "locations": [_location(diagnostic.position, folder, diagnostic.length)],
        "partialFingerprints": {FINGERPRINT: _fingerprint(diagnostic, about, seen)},
    }
    related = [
        {
            **_location(rule.position, folder),
            "id": number,
            "message": {"text": f"{rule.action.value} {rule.text}"},
        }
        for number, rule in enumerate(rules, 1)
    ]
    if related:
        result["relatedLocations"] = related
    return result


def _location(place: Position, folder: str, length: int = 1) -> dict[str, Any]:
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endColumn": place.column + length,
    }
    uri = quote(folder + place.file)
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def _fingerprint(diagnostic: Diagnostic, about: str, seen: Counter[str]) -> str:
    """Of what is told and where it stands, but for line numbers; the second of two that are alike differs."""
    parts = (diagnostic.code.value, diagnostic.position.file, about, diagnostic.source_line.strip())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    seen[digest] += 1
    return f"{digest[:32]}:{seen[digest]}"
