"""BPF objects for the runtime's tests, compiled from C that is written here or made from the layout."""

from __future__ import annotations

import itertools
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elf_image import Image
from wardgate.runtime.layout.manifest import (
    FORMAT_VERSION,
    Manifest,
    MapUse,
    ProgramUse,
    RuleSource,
    Table,
    TunnelIndex,
    digest_of_tables,
)
from wardgate.runtime.layout.maps import MANIFEST_SECTION, MAPS, TUNNEL4, TUNNEL6, MapLayout, MapType
from wardgate.runtime.layout.records import RECORDS

PRELUDE = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define NUMBER(name, value) int (*name)[value]
#define NOINLINE __attribute__((noinline))
struct packet_context { u32 length; };
static void *(*const lookup)(void *, const void *) = (void *)1;
static long (*const output)(void *, void *, u64, u64) = (void *)130;
char licence[] SEC("license") = "Dual MIT/GPL";
"""

GENERIC = (
    PRELUDE
    + """
struct inner { u16 low; u8 high; };
struct nested { u32 number; short small; struct inner part; u64 words[3]; u8 bytes[5]; };
struct { NUMBER(type, 2); NUMBER(max_entries, 16); NUMBER(map_flags, 1024);
	typeof(u32) *key; struct nested *value; } devices SEC(".maps");
struct { NUMBER(type, 1); NUMBER(max_entries, 64); NUMBER(key_size, 8); NUMBER(value_size, 4);
} untyped SEC(".maps");
struct { NUMBER(type, 6); NUMBER(max_entries, 8); u32 *key; u64 *value; } hits SEC(".maps");
struct { NUMBER(type, 27); NUMBER(max_entries, 4096); } events SEC(".maps");
const volatile u16 t_port[256] SEC(".rodata.t_port") = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
static volatile u32 first_static = 3;
static volatile u32 second_static = 4;
static volatile u64 zero_first, zero_second;
volatile u32 shared_number = 100;

NOINLINE u32 port_of(u32 number) { return t_port[number & 255]; }
static NOINLINE u32 twice(u32 number) { return port_of(number) + port_of(number + 1); }

SEC("tc") int statics(struct packet_context *context)
{
	zero_first += 2;
	zero_second += 1;
	first_static += 0;
	return second_static + shared_number + zero_second * 1000 + first_static * 10000;
}
SEC("tc") int calls(struct packet_context *context)
{
	u32 key = 2;
	u64 *counter = lookup(&hits, &key);
	if (counter)
		*counter += 5;
	return twice(4) + port_of(0);
}
SEC("tc") int emits(struct packet_context *context)
{
	u64 event = 0x1122334455667788ULL;
	u32 key = 1;
	struct nested *device = lookup(&devices, &key);
	return output(&events, &event, sizeof(event), 0) + (device ? device->number : 9);
}
SEC("xdp") int direct(void *context) { return t_port[9] + 1; }
"""
)
"""Maps of each kind, global data by symbol and by section with addends, functions in .text, and four
programs of which three share a section."""

REJECTED = (
    PRELUDE
    + """
struct { NUMBER(type, 1); NUMBER(max_entries, 4); u32 *key; u64 *value; } devices SEC(".maps");
SEC("xdp") int fine(void *context) { return 2; }
SEC("tc") int rejected(struct packet_context *context)
{
	u32 key = 0;
	u64 *value = lookup(&devices, &key);
#line 7 "office.yaml"
	return *value;
}
"""
)
"""A program that the verifier rejects at office.yaml:7: it uses a value that may be missing."""


_INDEXED = 96


def _entries(layout: MapLayout) -> int:
    return _INDEXED if layout in (TUNNEL4, TUNNEL6) else layout.entries


def _declarations() -> str:
    lines = []
    for record in RECORDS:
        members = (f"{f.kind} {f.name}{f'[{f.length}]' if f.length > 1 else ''};" for f in record.fields)
        lines.append(f"struct {record.name} {{ {' '.join(members)} }};")
    for layout in MAPS:
        members = [f"NUMBER(type, {int(layout.type)})", f"NUMBER(max_entries, {_entries(layout)})"]
        if layout.flags:
            members.append(f"NUMBER(map_flags, {int(layout.flags)})")
        if layout.type is not MapType.RINGBUF:
            members.append(f"{f'struct {layout.key.name}' if layout.key else 'u32'} *key")
            members.append(f"{f'struct {layout.value.name}' if layout.value else 'u32'} *value")
        lines.append(f'struct {{ {"; ".join(members)}; }} {layout.name} SEC(".maps");')
    return "\n".join(lines) + "\n"


ARTEFACT = (
    PRELUDE
    + _declarations()
    + """
const volatile struct config config SEC(".rodata.config");
const volatile u16 t_port[64] SEC(".rodata.t_port") = {7};
const volatile u32 t_decision[16] SEC(".rodata.t_decision");
static NOINLINE u32 decide(u32 number) { return t_port[number & 63] + t_decision[number & 15]; }
static NOINLINE u32 count(u32 number)
{
	u32 none = 0;
	struct processor *processor = lookup(&processors, &none);
	if (processor)
		processor->reasons[number] += 1;
	return decide(number);
}
SEC("tc") int gate_ingress(struct packet_context *context)
{
	struct event event = {};
	u32 key = 1;
	struct device *device = lookup(&devices, &key);
	if (device)
		event.slot = device->subject;
	output(&events, &event, sizeof(event), 0);
	return count(context->length & 31) + config.trace;
}
SEC("tc") int gate_egress(struct packet_context *context) { return decide(3) + config.generation; }
SEC("xdp") int gate_xdp(void *context) { return config.link_header + 2; }
"""
)
"""What an artefact consists of, without a policy behind it."""


def compile_c(text: str, folder: Path, name: str = "object.c") -> bytes:
    """Compile with the clang of the compiler's extra, without any system header."""
    source, target = folder / name, folder / f"{name}.o"
    source.write_text(text)
    command = [sys.executable, "-m", "ziglang", "clang", "--target=bpf", "-mcpu=v3", "-O2", "-g", "-nostdinc"]
    subprocess.run([*command, "-c", name, "-o", target.name], cwd=folder, check=True)
    return target.read_bytes()


def manifest() -> Manifest:
    """The manifest of ARTEFACT."""
    return Manifest(
        format=FORMAT_VERSION,
        wardgate="0.1.0",
        digest="00" * 32,
        files=(),
        tunnel=("10.9.0.0/16", "fd09::/64"),
        tunnel4=TunnelIndex("10.9.0.0", _INDEXED),
        tunnel6=TunnelIndex("fd09::", _INDEXED),
        classes=2,
        default_class=1,
        subjects={"alice": 1},
        resolved={},
        rules=(RuleSource(1, "allow", "*", False, "office.yaml", 3, 5, "10.0.0.0/8"),),
        buckets=(),
        tables=(
            Table("t_port", ".rodata.t_port", 2, 64, "ports"),
            Table("t_decision", ".rodata.t_decision", 4, 16, "decisions"),
        ),
        tables_digest=digest_of_tables(
            {".rodata.t_port": struct.pack("<64H", 7, *63 * [0]), ".rodata.t_decision": bytes(64)}
        ),
        parameters={"class_bits": 16},
        maps=tuple(MapUse(m.name, m.scope.value, _entries(m)) for m in MAPS),
        programs=(
            ProgramUse("gate_ingress", "tc", "tc"),
            ProgramUse("gate_egress", "tc", "tc"),
            ProgramUse("gate_xdp", "xdp", "xdp"),
        ),
        features=(),
        tools={},
    )


def artefact_image(compiled: bytes, content: bytes | None = None) -> Image:
    """A compiled ARTEFACT with a manifest, without DWARF."""
    image = Image.parse(compiled).without_debug()
    image.add(MANIFEST_SECTION, manifest().to_json() if content is None else content)
    return image


def bpf_fds() -> int:
    """How many bpf objects this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        count += target.startswith("anon_inode:") and ("bpf" in target or "btf" in target)
    return count


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """This process can open so many files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(entry.name) for entry in list(Path("/proc/self/fd").iterdir()) if entry.is_symlink()}
    free = (number for number in itertools.count() if number not in used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, count, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
