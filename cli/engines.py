"""Opening a policy or an artefact to ask it questions."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardgate.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from wardgate.compiler.explain.engines import Engine
    from wardgate.compiler.explain.query import Query
    from wardgate.compiler.explain.services import ServiceClasses
    from wardgate.compiler.language import Resolver
    from wardgate.compiler.language.model import Policy
    from wardgate.runtime.layout.manifest import Manifest

ENGINES = ("reference", "vm", "kernel")
_ELF_MAGIC = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Source:
    """What is asked: a policy or an artefact."""

    path: Path
    artefact: bytes | None
    policy: Policy | None

    @property
    def default_engine(self) -> str:
        """The definition where there is a policy, else the artefact's own instructions."""
        return "reference" if self.policy else "vm"

    def classes(self, query: Query) -> ServiceClasses:
        """The services that can fare differently where `query` asks about any."""
        from wardgate.compiler.explain import services

        if self.policy:
            from wardgate.compiler.semantics.evaluator import Evaluator

            remote, inbound = query.packet.remote, query.packet.inbound
            _, bucket = Evaluator(self.policy).bucket(query.user, remote, inbound=inbound)
            return services.of_rules(bucket)
        if self.artefact is None:
            raise AssertionError("neither policy nor artefact")
        return _classes_of(self.artefact)


def read_source(path: Path, resolver: Resolver | None) -> Source:
    """The policy or artefact at `path`; PolicyError where it is neither a good policy nor an ELF file."""
    with path.open("rb") as file:
        is_elf = file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
    if is_elf:
        return Source(path, path.read_bytes(), None)
    from wardgate.compiler.language import load_policy

    return Source(path, None, load_policy(path, resolver=resolver).policy)


def policy_of(source: Source) -> Policy:
    """The policy; CommandError where only an artefact was given."""
    if source.policy is None:
        raise CommandError(
            f"{source.path} is an artefact; the reference needs the policy that it was made from",
            "give the policy file, or ask --engine vm",
            USAGE,
        )
    return source.policy


def artefact_of(source: Source, resolver: Resolver | None) -> bytes:
    """The artefact; a policy is compiled."""
    if source.artefact is not None:
        return source.artefact
    from wardgate.compiler import compile_policy

    return compile_policy(source.path, resolver=resolver).data


def tunnel_of(source: Source) -> Sequence[str]:
    """The tunnel's prefixes."""
    if source.policy is not None:
        return [str(prefix) for prefix in source.policy.tunnel]
    return _manifest_of(source.artefact or b"").tunnel


@contextmanager
def opened(source: Source, name: str, resolver: Resolver | None) -> Iterator[Engine]:
    """The engine `name` for the source; a policy is compiled where the engine runs programs."""
    if name == "reference":
        from wardgate.compiler.explain.engines import ReferenceEngine

        yield ReferenceEngine(policy_of(source))
        return
    artefact = artefact_of(source, resolver)
    if name == "vm":
        from wardgate.compiler.explain.engines import VmEngine

        yield VmEngine(artefact)
        return
    from wardgate.cli.kernel_engine import KernelEngine

    with KernelEngine(artefact) as engine:
        yield engine


def _classes_of(artefact: bytes) -> ServiceClasses:
    from wardgate.compiler.explain import services

    return services.of_artefact(_manifest_of(artefact), _sections(artefact))


def _manifest_of(artefact: bytes) -> Manifest:
    from wardgate.runtime.layout.manifest import Manifest
    from wardgate.runtime.layout.maps import MANIFEST_SECTION

    return Manifest.from_json(_sections(artefact)(MANIFEST_SECTION))


def _sections(artefact: bytes) -> Callable[[str], bytes]:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(io.BytesIO(artefact))
    except ELFError as error:
        raise CommandError(f"the artefact cannot be read: {error}", "compile the policy again") from None

    def section(name: str) -> bytes:
        found = elf.get_section_by_name(name)
        if found is None:
            raise CommandError(f"the artefact has no section {name}", "compile the policy again")
        return bytes(found.data())

    return section
