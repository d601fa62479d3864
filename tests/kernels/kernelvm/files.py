"""Which files of this machine a guest gets, at the same paths: Python, the project, what both need."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from kernelvm.cpio import Archive

TOP = Path(__file__).resolve().parents[3]
"""The project's top folder."""
_PROJECT = ("bpf_templates", "cli", "compiler", "gateway", "runtime", "examples", "tests", "pyproject.toml")
_UNUSED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages",
           "dist-packages", "pydoc_data", "distutils"}  # fmt: skip
_USELESS = re.compile(r"\.opt-\d\.pyc$|^_test.*\.so$|^_tkinter\..*\.so$|\.a$")
_NAME = re.compile(r"[\w.-]+")


class GuestFiles:
    """What goes into a guest's root, on its way into an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._done: set[Path] = set()
        self._images: list[Path] = []

    def python(self, *extras: str) -> None:
        """The interpreter with its library, and Wardgate with what it requires: its plain dependencies,
        and those of `extras`."""
        for name in ("python", "python3", Path(sys.executable).name):
            self.program(Path(sys.executable).with_name(name))
        self.file(Path(sys.prefix, "pyvenv.cfg"))
        for key in ("stdlib", "platstdlib"):
            self.tree(Path(sysconfig.get_path(key, vars={"base": sys.base_prefix})), skip=_UNUSED)
        for found in _required("wardgate", extras):
            self._distribution(found)

    def project(self) -> None:
        """This checkout's packages, examples and tests."""
        for name in _PROJECT:
            path = TOP / name
            if path.is_dir():
                self.tree(path)
            else:
                self.file(path)

    def program(self, path: Path) -> None:
        """A program, what its links lead to, and its shared libraries."""
        self.file(path)
        self._images.append(path)

    def tree(self, folder: Path, skip: Iterable[str] = ()) -> None:
        """A folder, less what is named in `skip` at any depth."""
        skipped = set(skip)
        for path in sorted(folder.iterdir()):
            if path.name in skipped or _USELESS.search(path.name):
                continue
            if path.is_dir() and not path.is_symlink():
                self.tree(path, skipped)
            elif path.exists():
                self.file(path)

    def file(self, path: Path) -> None:
        """A file; of a link also what it leads to."""
        if path in self._done:
            return
        self._done.add(path)
        if path.is_symlink():
            target = path.readlink()
            self._archive.link(str(path), str(target))
            self.file(path.parent / target)
            return
        if re.search(r"\.so(\.|$)", path.name):
            self._images.append(path)
        known = path.stat()
        # With its time, by which Python tells whether what it compiled of the file is of use.
        self._archive.file(str(path), path.read_bytes(), known.st_mode & 0o777, int(known.st_mtime))

    def libraries(self) -> None:
        """The shared libraries of all that was added: last, and once."""
        said = subprocess.run(
            ["ldd", *map(str, self._images)], capture_output=True, text=True, check=False
        ).stdout
        for found in re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", said, re.MULTILINE):
            self._archive.file(found, Path(found).read_bytes(), 0o755)

    def _distribution(self, found: Distribution) -> None:
        for entry in found.files or ():
            path = Path(str(found.locate_file(entry)))
            if path.exists():
                self.file(path.resolve() if ".." in path.parts else path)


def _required(name: str, extras: Iterable[str]) -> Iterable[Distribution]:
    """The installed distributions that `name` needs, itself included."""
    wanted = [(name, tuple(extras))]
    found: dict[str, Distribution] = {}
    while wanted:
        current, chosen = wanted.pop()
        installed = _installed(current)
        if installed is None:
            # Needed on other systems or by other versions of Python.
            continue
        found[current] = installed
        for requirement in installed.requires or ():
            needed = _NAME.match(requirement)
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
            if needed and needed[0] not in found and (extra is None or extra[1] in chosen):
                wanted.append((needed[0], ()))
    return found.values()


def _installed(name: str) -> Distribution | None:
    # Not what is beside the working folder: a checkout may hold remains of a build of itself.
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return next(iter(Distribution.discover(name=name, path=places)), None)
