"""Objects from both backends: the same from everywhere, with the policy's lines; or a clear error."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from sample_gate import OFFICE, SHARED, TEMPLATE, UNIT
from wardgate.compiler.artefact import btf, read_object, read_sections
from wardgate.compiler.backend import (
    BACKENDS,
    Backend,
    BackendError,
    Clang,
    build_object,
    emit_asm,
    emit_ir,
    find_clang,
)
from wardgate.compiler.codegen.unit import TranslationUnit

each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(autouse=True)
def workspaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder for temporary ones, which must be empty again at the end, and no traces elsewhere."""
    folder, home = tmp_path / "temporary", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("HOME", str(home))
    yield folder
    assert list(folder.iterdir()) == []
    assert list(home.iterdir()) == []


def c_unit(text: str, **sources: str) -> TranslationUnit:
    """A unit of this C."""
    return TranslationUnit("gate.c", text, sources)


@each_backend
def test_an_object_has_the_lines_of_policy_and_template(backend: Backend) -> None:
    built = build_object(UNIT, backend=backend)
    sections = read_sections(built.data)
    assert {"tc", "xdp", ".text", ".maps", "license", ".bss.ro.t_wide", ".BTF", ".BTF.ext"} <= set(sections)
    assert btf.source_names(sections[".BTF"], sections[".BTF.ext"]) == {"gate.c", *UNIT.sources}
    for line in (OFFICE.splitlines()[3], SHARED.splitlines()[2], TEMPLATE.splitlines()[3], "\tu32 key = 1;"):
        assert line.encode() + b"\0" in sections[".BTF"]
    assert built.warnings == ()


@each_backend
def test_tables_take_no_room_in_the_file(backend: Backend) -> None:
    sections = {s.name: s for s in read_object(build_object(UNIT, backend=backend).data).sections}
    for name, size in ((".bss.ro.t_wide", 64), (".bss.ro.t_narrow", 128)):
        assert (sections[name].data, sections[name].zeros) == (b"", size)


def test_it_says_what_made_it() -> None:
    by_clang, by_llvmlite = build_object(UNIT, backend="clang"), build_object(UNIT)
    assert set(by_clang.tools) == {"clang"}
    assert set(by_llvmlite.tools) == {"clang", "llvmlite", "llvm"}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in by_llvmlite.tools.values())


@each_backend
def test_the_bytes_depend_on_the_unit_alone(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_object(UNIT, backend=backend)
    (tmp_path / "include").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name, value in {
        "CPATH": str(tmp_path / "include"),
        "CCC_OVERRIDE_OPTIONS": "+-DSURPRISE",
        "SOURCE_DATE_EPOCH": "1",
        "LC_ALL": "de_DE.UTF-8",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(tmp_path),
        "HOME": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    reordered = replace(UNIT, sources=dict(reversed(UNIT.sources.items())))
    assert build_object(reordered, backend=backend) == first
    monkeypatch.undo()


@each_backend
def test_a_dense_switch_makes_no_jump_table(backend: Backend) -> None:
    cases = "".join(f"case {number}: return {number * number % 11};" for number in range(40))
    text = f'__attribute__((section("tc"))) int f(void *c) {{ switch (*(int *)c) {{ {cases} }} return 0; }}'
    sections = read_sections(build_object(c_unit(text), backend=backend).data)
    assert not any(name.startswith((".rodata", ".jumptables")) for name in sections)
    # BPF_JA | BPF_X (0x0d), the indirect jump of newer instruction sets
    assert 0x0D not in sections["tc"][::8]


@each_backend
def test_ir_and_assembly_can_be_read(backend: Backend) -> None:
    assert "define dso_local" in emit_ir(UNIT, backend=backend)
    # optimised: the key is no longer stored and loaded
    assert "alloca ptr" not in emit_ir(UNIT, backend=backend)
    assembly = emit_asm(UNIT, backend=backend)
    assert re.search(r"^gate_ingress:", assembly, re.MULTILINE)
    assert "call 1" in assembly


@each_backend
def test_warnings_are_handed_on(backend: Backend) -> None:
    built = build_object(
        c_unit("static int idle(void) { return 1; }\nint used(void) { return 2; }"), backend=backend
    )
    (warning,) = built.warnings
    assert (warning.file, warning.line, warning.kind) == ("gate.c", 1, "warning")
    assert "unused function 'idle'" in warning.message


@each_backend
def test_an_error_in_the_c_names_the_policys_line(backend: Backend) -> None:
    unit = c_unit('#line 2 "office.yaml"\nint f(void) { return missing; }\n', **{"office.yaml": "a\nb\n"})
    with pytest.raises(BackendError) as caught:
        build_object(unit, backend=backend)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.file, diagnostic.line, diagnostic.column) == ("office.yaml", 2, 22)
    assert str(caught.value).startswith("cannot build gate.c:\noffice.yaml:2:22: error: use of undeclared")
    assert "int f(void) { return missing; }" in diagnostic.excerpt


@each_backend
def test_an_error_of_the_code_generator_is_one_of_ours(backend: Backend) -> None:
    text = (
        '__attribute__((section("tc"))) int f(void *c) { char b[4000]; void *volatile p = b; return p == c; }'
    )
    with pytest.raises(BackendError) as caught:
        build_object(c_unit(text), backend=backend)
    assert "stack limit is exceeded" in str(caught.value)
    assert {diagnostic.file for diagnostic in caught.value.diagnostics if diagnostic.is_error} == {"gate.c"}


@each_backend
def test_a_fatal_error_inside_llvm_is_one_of_ours(backend: Backend) -> None:
    with pytest.raises(BackendError, match=r"unimplemented"):
        build_object(c_unit("void *f(void) { return __builtin_return_address(2); }"), backend=backend)


@each_backend
def test_nothing_of_the_machine_is_included(backend: Backend) -> None:
    for header in ("stdio.h", "stddef.h", "linux/bpf.h", "/etc/hostname.h"):
        with pytest.raises(BackendError, match=r"file not found"):
            build_object(c_unit(f'#include "{header}"\n'), backend=backend)


def test_ir_that_llvm_cannot_read(tmp_path: Path) -> None:
    fake = tmp_path / "clang"
    fake.write_text("#!/bin/sh\necho 'this is from the future'\n")
    fake.chmod(0o755)
    with pytest.raises(BackendError, match=r"expected top-level entity"):
        build_object(UNIT, clang=Clang((str(fake),), "99.0.0"))


def test_a_clang_that_names_its_folder_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "clang"
    fake.write_text("#!/bin/sh\npwd\n")
    fake.chmod(0o755)
    with pytest.raises(BackendError, match=r"not reproducible"):
        build_object(UNIT, backend="clang", clang=Clang((str(fake),), "99.0.0"))


def test_a_clang_that_disappears(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"cannot run .*No such file"):
        build_object(UNIT, clang=Clang((str(tmp_path / "gone"),), "19.0.0"))


def test_a_backend_that_there_is_not() -> None:
    with pytest.raises(BackendError, match=r"Use llvmlite or clang"):
        build_object(UNIT, backend="gcc")


def test_llvmlite_is_not_needed_by_the_other_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "llvmlite" else real(name))
    with pytest.raises(
        BackendError, match=r"llvmlite is not installed\nInstall it with `pip install 'wardgate"
    ):
        build_object(UNIT)
    assert build_object(UNIT, backend="clang").data


def test_a_file_that_a_policy_includes_is_not_run() -> None:
    bomb = "raise SystemExit('a policy file was run')"
    names = ("llvmlite.py", "llvmlite/__init__.py", "sitecustomize.py", "typing.py", "wardgate/__init__.py")
    sources = {**UNIT.sources, **{name: bomb for name in names if name != "llvmlite.py"}}
    assert build_object(replace(UNIT, sources=sources)).data == build_object(UNIT).data
    assert build_object(replace(UNIT, sources={**UNIT.sources, "llvmlite.py": bomb})).data


@pytest.mark.tool("strace")
@each_backend
def test_nothing_is_written_outside_the_temporary_folder(
    backend: Backend, workspaces: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    code = (
        "import sample_gate\nfrom wardgate.compiler.backend import build_object\n"
        f"build_object(sample_gate.UNIT, backend={backend!r})"
    )
    support = Path(sys.modules["sample_gate"].__file__).parent
    writers = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    subprocess.run(
        ["strace", "-f", "-qq", "-s", "4096", "-e", f"trace={writers},connect", "-o", str(log),
         sys.executable, "-B", "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": str(support), "TMPDIR": str(workspaces)},
        cwd="/",
    )  # fmt: skip
    wrote = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if re.search(
            r"O_WRONLY|O_RDWR|O_CREAT|\b(creat|mkdir|mkdirat|rename\w*|link\w*|symlink\w*|connect)\(", line
        )
    ]
    beside = [line for line in wrote if str(workspaces) not in line and '"/dev/null"' not in line]
    # A compiler in the workspace may name files relative to it.
    assert [line for line in beside if '"/' in line or "connect(" in line] == []


def test_depth_of_names_does_not_matter(workspaces: Path) -> None:
    deep = {"../../../a/b.yaml": "deep line\n", "../d0/c.yaml": "", "d1/e.yaml": "", **UNIT.sources}
    text = UNIT.text + '\n#line 1 "../../../a/b.yaml"\nSEC("tc") int more(void *c) { return c == 0; }\n'
    sections = read_sections(build_object(TranslationUnit("gate.c", text, deep)).data)
    assert b"deep line\0" in sections[".BTF"]
    assert b"\0../../../a/b.yaml\0" in sections[".BTF"]
    assert workspaces.name.encode() not in sections[".BTF"]


@pytest.mark.parametrize(
    "name",
    [
        "", "/etc/passwd", "a//b", "./a", "a/../b", "a/", ".", "..", "../..", 'quo"te', "back\\slash",
        "new\nline", "nul\0", "gate.c", "x" * 300, "\udcff.yaml",
    ],
)  # fmt: skip
def test_a_source_name_that_cannot_be_laid_out(name: str) -> None:
    with pytest.raises(BackendError, match=r"(?s)source name|lay out"):
        build_object(replace(UNIT, sources={**UNIT.sources, name: "text"}))


def test_a_file_inside_a_file() -> None:
    with pytest.raises(BackendError, match=r"lay out"):
        build_object(replace(UNIT, sources={"a": "", "a/b": ""}))


@pytest.mark.parametrize("name", ["", "a/b.c", "/a.c", ".."])
def test_a_unit_with_an_unfit_name(name: str) -> None:
    with pytest.raises(BackendError):
        build_object(replace(UNIT, name=name))


def test_names_in_other_scripts() -> None:
    name = "büro/политика.yaml"
    text = UNIT.text + f'\n#line 1 "{name}"\nSEC("tc") int more(void *c) {{ return c == 0; }}\n'
    unit = TranslationUnit("gate.c", text, {**UNIT.sources, name: "erlaubt: ja  # жук\n"})
    for backend in BACKENDS:
        sections = read_sections(build_object(unit, backend=backend, clang=find_clang()).data)
        assert name in btf.source_names(sections[".BTF"], sections[".BTF.ext"])
        assert "erlaubt: ja  # жук\0".encode() in sections[".BTF"]
