"""How failures are told: text, document, exit status."""

import pytest
from wardgate.cli.failures import CommandError, describe
from wardgate.compiler.backend import BackendError
from wardgate.compiler.explain.probe import EngineError
from wardgate.compiler.language import PolicyError, parse_policy_text
from wardgate.compiler.vm.errors import ImageError
from wardgate.runtime.errors import ArtefactError, PrivilegeError, VerifierError
from wardgate.runtime.layout.manifest import ManifestError


def policy_error() -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy_text("version: 3\nfrob: 1\n")
    return caught.value


def verifier_error() -> VerifierError:
    return VerifierError(
        "gate_ingress", "R1 is bad", "report it", log="line 1\nline 2", location="gate.h:3", source="x = *p;"
    )


@pytest.mark.parametrize(
    ("error", "status", "words", "remedy"),
    [
        (policy_error(), 1, ["policy.yaml:1:10: error:", "^", "help:", "2 errors"], ""),
        (BackendError("find", "clang", "none", "install one"), 3, ["cannot find clang: none"], "install one"),
        (ArtefactError(".BTF", "is cut"), 3, ["read artefact .BTF: is cut"], "compile the policy again"),
        (
            PrivilegeError("create map", "devices", 1, "be root"),
            3,
            ["create map devices", "EPERM"],
            "be root",
        ),
        (ManifestError("format 9"), 3, ["format 9"], "matching release"),
        (ImageError("no .BTF"), 3, ["no .BTF"], "compile the policy again"),
        (EngineError("no manifest; compile again"), 3, ["no manifest"], "compile again"),
        (CommandError("no gate", "run one", 2), 2, ["no gate"], "run one"),
        (PermissionError(13, "Permission denied", "/sys/fs/bpf/x"), 3, ["/sys/fs/bpf/x: Permission"], "root"),
        (FileNotFoundError(2, "No such file or directory", "x.o"), 3, ["x.o: No such file"], ""),
        (ModuleNotFoundError("x", name="llvmlite"), 3, ["llvmlite is missing"], "wardgate[compiler]"),
        (OSError(28, "No space left on device"), 3, ["stdout: No space left"], ""),
        (OSError(28, "No space left on device", "x.o"), 3, ["x.o: No space left"], ""),
        (UnicodeEncodeError("latin-1", "\u2588", 0, 1, "no"), 3, ["'\\u2588'", "latin-1"], "LC_ALL=C.UTF-8"),
        (MemoryError(), 3, ["out of memory"], "more"),
    ],
)
def test_foreseen_failures(error, status, words, remedy):
    failure = describe(error, verbose=False)
    assert failure.status == status
    for word in words:
        assert word in failure.text
    assert remedy in failure.remedy
    assert "Traceback" not in failure.text
    document = failure.document
    assert (document["ok"], document["status"]) == (False, status)
    assert set(document) == {"ok", "status", "message", "remedy", "diagnostics"}


def test_the_verifiers_log_needs_verbose():
    brief = describe(verifier_error(), verbose=False)
    assert "at gate.h:3: x = *p;" in brief.text
    assert "--verbose" in brief.text
    assert "line 2" not in brief.text
    assert "line 2" in describe(verifier_error(), verbose=True).text


def test_what_nobody_foresaw_keeps_its_traceback():
    try:
        raise RuntimeError("surprise")
    except RuntimeError as error:
        failure = describe(error, verbose=False)
    assert failure.status == 3
    assert "test_failures.py" in failure.text
    assert "please report it" in failure.text


def test_what_others_may_not_has_a_remedy(monkeypatch):
    error = PermissionError(13, "Permission denied", "/etc/wardgate/gateway.yaml")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "run as root" in describe(error, verbose=False).remedy
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert describe(error, verbose=False).remedy == ""
