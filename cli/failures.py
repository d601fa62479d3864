"""What a failure looks like: the text, the JSON document and the exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

POLICY_SAYS_NO = 1
USAGE = 2
SYSTEM_REFUSED = 3

_BPFFS = "/sys/fs/bpf"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CommandError(Exception):
    """A failure that a command itself noticed; `status` is one of the constants above, `diagnostics` are for
    the document."""

    def __init__(
        self,
        message: str,
        remedy: str = "",
        status: int = SYSTEM_REFUSED,
        diagnostics: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.status = status
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is told. `text` has no line end; `details` are more keys of the document."""

    status: int
    message: str
    remedy: str = ""
    text: str = ""
    diagnostics: Sequence[Mapping[str, Any]] = ()

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` prints in place of a result; docs/json.md describes it."""
        return {
            "ok": False,
            "status": self.status,
            "message": self.message,
            "remedy": self.remedy,
            "diagnostics": list(self.diagnostics),
        }


def describe(error: Exception, *, verbose: bool) -> Failure:
    """The failure that `error` means. What nobody foresaw keeps its traceback."""
    known = _of_click(error) or _of_cli(error) or _of_compiler(error) or _of_runtime(error, verbose)
    if known:
        return known
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        # Files are named by whoever writes them.
        place = error.filename or ("stdout" if error.errno in _FULL else "")
        remedy = _of_permission(str(error.filename or "")) if isinstance(error, PermissionError) else ""
        return _plain(SYSTEM_REFUSED, f"{place}: {what}" if place else what, remedy)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("wardgate"):
        return _plain(SYSTEM_REFUSED, f"the Python package {error.name} is missing", _extra_for(error.name))
    if isinstance(error, UnicodeEncodeError):
        missing = error.object[error.start : error.start + 1]
        return _plain(
            SYSTEM_REFUSED,
            f"stdout takes no {missing!a}: its encoding is {error.encoding}",
            "choose a locale with UTF-8, such as LC_ALL=C.UTF-8",
        )
    if isinstance(error, MemoryError):
        return _plain(SYSTEM_REFUSED, "out of memory", "use a machine with more, or a smaller policy")
    trace = "".join(traceback.format_exception(error)).rstrip()
    return Failure(
        SYSTEM_REFUSED,
        f"internal error: {type(error).__name__}: {error}",
        text=f"{trace}\nwardgate: internal error; please report it with the lines above",
    )


def _of_permission(path: str) -> str:
    if path.startswith(_BPFFS):
        return "gates belong to root: run as root"
    return "run as root, or as whose it is" if os.geteuid() else ""


def _plain(status: int, message: str, remedy: str) -> Failure:
    text = f"wardgate: {message}" + (f"\n  help: {remedy}" if remedy else "")
    return Failure(status, message, remedy, text)


def _of_click(error: Exception) -> Failure | None:
    if isinstance(error, click.UsageError):
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        message = error.format_message()
        help_line = f"\n  help: {error.ctx.command_path} --help" if error.ctx else ""
        return Failure(USAGE, message, text=f"{usage}wardgate: {message}{help_line}")
    if isinstance(error, click.ClickException):
        return _plain(USAGE, error.format_message(), "")
    return None


def _of_cli(error: Exception) -> Failure | None:
    if isinstance(error, CommandError):
        failure = _plain(error.status, error.message, error.remedy)
        return replace(failure, diagnostics=error.diagnostics)
    # A class of a module that was never imported is not the error's class.
    devices = sys.modules.get("wardgate.cli.devices")
    if devices and isinstance(error, devices.DevicesError):
        places = [
            {
                "severity": "error",
                "file": error.file,
                "line": m.line,
                "column": m.column,
                "message": m.message,
            }
            for m in error.mistakes
        ]
        count = f"{len(places)} mistake{'s' * (len(places) != 1)} in {error.file}"
        return Failure(USAGE, count, text=f"{error}\nwardgate: {count}", diagnostics=places)
    return None


def _of_compiler(error: Exception) -> Failure | None:
    language = sys.modules.get("wardgate.compiler.language.diagnostics")
    if language and isinstance(error, language.PolicyError):
        shown = "\n".join(diagnostic.render() for diagnostic in error.diagnostics)
        count = f"{len(error.errors)} error{'s' * (len(error.errors) != 1)}"
        documents = [diagnostic.to_json() for diagnostic in error.diagnostics]
        # What is wrong with an argument says nothing of the policy.
        argument = all(diagnostic.position.file == language.CLAIM for diagnostic in error.errors)
        status = USAGE if argument else POLICY_SAYS_NO
        return Failure(status, count, text=f"{shown}\nwardgate: {count}", diagnostics=documents)
    backend = sys.modules.get("wardgate.compiler.backend.errors")
    artefact = sys.modules.get("wardgate.compiler.artefact.errors")
    validation = sys.modules.get("wardgate.compiler.validation.errors")
    inspection = sys.modules.get("wardgate.compiler.inspect.errors")
    if (
        (backend and isinstance(error, backend.BackendError))
        or (artefact and isinstance(error, artefact.ArtefactError))
        or (validation and isinstance(error, validation.ValidationError))
        or (inspection and isinstance(error, inspection.InspectionError))
    ):
        gap = "" if error.cause.startswith("\n") else " "
        failure = _plain(
            SYSTEM_REFUSED, f"cannot {error.operation} {error.subject}:{gap}{error.cause}", error.remedy
        )
        return replace(failure, diagnostics=_of_backend(getattr(error, "diagnostics", ())))
    analysis = sys.modules.get("wardgate.compiler.analysis.errors")
    if analysis and isinstance(error, analysis.AnalysisError):
        return _plain(
            SYSTEM_REFUSED, f"cannot {error.operation} {error.subject}: {error.cause}", error.remedy
        )
    costs = sys.modules.get("wardgate.compiler.costs.errors")
    if costs and isinstance(error, costs.BudgetError):
        return _of_budget(error)
    interpreter = sys.modules.get("wardgate.compiler.vm.errors")
    if interpreter and isinstance(error, interpreter.VmError):
        return _plain(SYSTEM_REFUSED, f"cannot interpret the artefact: {error}", "compile the policy again")
    engines = sys.modules.get("wardgate.compiler.explain.probe")
    if engines and isinstance(error, engines.EngineError):
        message, _, remedy = str(error).partition("; ")
        return _plain(SYSTEM_REFUSED, message, remedy)
    return None


def _of_backend(complaints: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """Compilers' complaints, at lines of policies and templates."""
    return [
        {
            "severity": "error" if one.is_error else one.kind,
            "code": "compiler",
            "message": one.message,
            "file": one.file if one.line else None,
            "line": one.line or None,
            "column": one.column or None,
            "excerpt": one.excerpt.splitlines(),
        }
        for one in complaints
    ]


def _of_budget(error: Any) -> Failure:
    """A policy that is too large: what takes the bytes, and where in the policy they come from."""
    from wardgate.compiler.costs.sizes import size

    message = f"cannot {error.operation} {error.subject}: {error.cause}"
    taken = [f"{name} {size(count)}" for name, count in error.structures.items()]
    lines = [f"wardgate: {message}", f"  of that: {', '.join(taken)}"]
    if error.culprits:
        lines.append("  what would go away, about, without")
        lines += [f"    {one.position}: {one}: {size(one.bytes)}" for one in error.culprits]
    lines.append(f"  help: {error.remedy}")
    return Failure(POLICY_SAYS_NO, message, error.remedy, "\n".join(lines), error.to_json())


def _of_runtime(error: Exception, verbose: bool) -> Failure | None:
    runtime = sys.modules.get("wardgate.runtime.errors")
    if runtime and isinstance(error, runtime.VerifierError):
        return _of_verifier(error, verbose)
    if runtime and isinstance(error, runtime.WardgateError):
        place = f"{error.operation} {error.target}".rstrip()
        return _plain(SYSTEM_REFUSED, f"{place}: {error.cause}", error.remedy)
    manifest = sys.modules.get("wardgate.runtime.layout.manifest")
    if manifest and isinstance(error, manifest.ManifestError):
        return _plain(SYSTEM_REFUSED, str(error), "compile the policy again with a matching release")
    return None


def _of_verifier(error: Any, verbose: bool) -> Failure:
    """A rejected program: where, and the few lines of the log that matter."""
    lines = [f"wardgate: {error.operation} {error.target}: the verifier rejected it: {error.cause}"]
    if error.location:
        lines.append(f"  at {error.location}" + (f": {error.source}" if error.source else ""))
    lines += [f"    {line}" for line in error.excerpt]
    if error.remedy:
        lines.append(f"  help: {error.remedy}")
    lines.append(error.log.rstrip() if verbose else "  help: --verbose shows the verifier's whole log")
    file, _, line = (error.location or "").rpartition(":")
    place = {
        "severity": "error",
        "code": "verifier",
        "message": error.cause,
        "remedy": error.remedy,
        "file": file or None,
        "line": int(line) if line else None,
        "source_line": error.source,
        "excerpt": list(error.excerpt),
    }
    return Failure(SYSTEM_REFUSED, str(error), error.remedy, "\n".join(lines), [place])


def _extra_for(package: str | None) -> str:
    extra = "[compiler]" if package in ("llvmlite", "numpy", "ziglang") else ""
    if package in ("fastapi", "httpx", "prometheus_client", "segno", "starlette", "uvicorn"):
        extra = "[gateway]"
    return f"pip install 'wardgate{extra}'"
