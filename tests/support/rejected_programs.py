"""Programs that every verifier rejects, each for another reason, at a line of a policy or template.

`python rejected_programs.py FOLDER` compiles them into a folder; `... FOLDER --load` loads them on this
kernel and prints a line of JSON for each. So are tests/data/verifier's logs made:

    FOLDER=/tmp/rejected; PYTHONPATH=tests/support python tests/support/rejected_programs.py $FOLDER
    PYTHONPATH=tests/kernels python -m kernelvm 6.1 --file $FOLDER -- \\
        python tests/support/rejected_programs.py $FOLDER --load > 6.1.jsonl
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data" / "verifier"
_HEAD, _TAIL = 30, 50
_CLANG = (
    sys.executable, "-m", "ziglang", "clang", "--target=bpf", "-mcpu=v3", "-O2", "-g", "-nostdinc",
    "-fdebug-compilation-dir=/wardgate", "-fdebug-prefix-map=/wardgate=", "-c",
)  # fmt: skip
PRELUDE = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define NUMBER(name, value) int (*name)[value]
#define NOINLINE __attribute__((noinline))
#define OPAQUE(value) asm volatile("" : "+r"(value))
struct skb { u32 length; u32 pad[18]; u32 data; u32 data_end; };
static void *(*const lookup)(void *, const void *) = (void *)1;
static u64 (*const now)(void) = (void *)5;
static void *(*const reserve)(void *, u64, u64) = (void *)131;
static void *(*const current_task)(void) = (void *)35;
static long (*const override_return)(void *, u64) = (void *)58;
static long (*const unknown)(void) = (void *)9999;
char licence[] SEC("license") = LICENCE;
struct { NUMBER(type, 1); NUMBER(max_entries, 4); u32 *key; u64 *value; } devices SEC(".maps");
struct { NUMBER(type, 27); NUMBER(max_entries, 4096); } events SEC(".maps");
const volatile u16 t_reach[256] SEC(".rodata.t_reach") = {10, 11, 12, 13};
"""


@dataclass(frozen=True)
class Rejected:
    """`body` is C whose program is `rejected`; `cause` is a pattern of the complaint, `place` the line that
    is at fault (None: the kernel does not say), `shown` a text that the sliced log must have."""

    body: str
    cause: str
    place: str | None
    shown: str = ""
    licence: str = "Dual MIT/GPL"


CASES = {
    "missing-value": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u32 key = 0;
#line 45 "bpf_templates/device.h"
	u64 *owner = lookup(&devices, &key);
#line 7 "office.yaml"
	return *owner;
}""",
        r"R0 invalid mem access 'map_value_or_null'",
        "office.yaml:7",
        "bpf_templates/device.h:45",
    ),
    "unbounded-index": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
#line 30 "bpf_templates/lookup.h"
	u64 at = skb->length;
	OPAQUE(at);
#line 33 "bpf_templates/lookup.h"
	return t_reach[at];
}""",
        r"R\d (unbounded memory access|max value is outside)|invalid access to map value",
        "bpf_templates/lookup.h:33",
        "bpf_templates/lookup.h:30",
    ),
    "short-packet": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u8 *data = (u8 *)(unsigned long)skb->data, *end = (u8 *)(unsigned long)skb->data_end;
	if (data + 20 > end)
		return 0;
#line 60 "bpf_templates/ipv4.h"
	return data[20];
}""",
        r"invalid access to packet, off=20 size=1, R\d",
        "bpf_templates/ipv4.h:60",
    ),
    "unset-register": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u64 found;
#line 12 "bpf_templates/decide.h"
	asm volatile("%0 = r7" : "=r"(found));
	return found;
}""",
        r"R7 !read_ok",
        "bpf_templates/decide.h:12",
    ),
    "endless-loop": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u64 n = skb->length;
	for (;;) {
#line 88 "bpf_templates/parse.h"
		OPAQUE(n);
		if (n == 1234567)
			return 0;
	}
}""",
        r"infinite loop detected at insn \d+",
        "bpf_templates/parse.h:89",
    ),
    "too-many-steps": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u64 sum = 0;
	for (u32 i = 0; i < 3000000; i++) {
#line 90 "bpf_templates/parse.h"
		OPAQUE(i);
		sum += i;
	}
	return sum;
}""",
        r"BPF program is too large. Processed 1000001 insn|sequence of 8193 jumps is too complex",
        None,
    ),
    "unknown-helper": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
#line 21 "bpf_templates/clock.h"
	return unknown();
}""",
        r"invalid func unknown#9999",
        "bpf_templates/clock.h:21",
    ),
    "forbidden-helper": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
#line 22 "bpf_templates/clock.h"
	return override_return(skb, 0);
}""",
        r"(unknown func|program of this type cannot use helper) bpf_override_return#58",
        "bpf_templates/clock.h:22",
    ),
    "licence": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	u64 number = 3;
#line 23 "bpf_templates/report.h"
	long (*const trace)(const char *, u32, ...) = (void *)6;
	return trace((void *)&number, 8);
}""",
        r"cannot call GPL(-restricted function from| only function from) ?non-GPL compatible program",
        "bpf_templates/report.h:24",
        licence="Proprietary",
    ),
    "write-to-table": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
	volatile u16 *table = (volatile u16 *)t_reach;
#line 40 "bpf_templates/lookup.h"
	table[1] = 7;
	return 0;
}""",
        r"write into map forbidden, value_size=512 off=2 size=2",
        "bpf_templates/lookup.h:40",
    ),
    "stack": Rejected(
        """
static NOINLINE int deep(struct skb *skb)
{
	volatile u8 room[400];
	for (int i = 0; i < 400; i++)
		room[i] = i;
	return room[skb->length & 127];
}
SEC("tc") int rejected(struct skb *skb)
{
	volatile u8 room[300];
	for (int i = 0; i < 300; i++)
		room[i] = i;
	return deep(skb) + room[skb->length & 127];
}""",
        r"combined stack size of 2 calls is \d+\. Too large",
        None,
    ),
    "lost-record": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
#line 70 "bpf_templates/report.h"
	u64 *record = reserve(&events, 8, 0);
	if (record)
		*record = 1;
#line 79 "bpf_templates/report.h"
	return 0;
}""",
        r"Unreleased reference id=\d+ alloc_insn=\d+|would lead to reference leak",
        "bpf_templates/report.h:79",
        "bpf_templates/report.h:70",
    ),
    "context": Rejected(
        """
SEC("tc") int rejected(struct skb *skb)
{
#line 9 "bpf_templates/gate.h"
	return *(u64 *)((u8 *)skb + 190);
}""",
        r"invalid bpf_context access off=190 size=8",
        "bpf_templates/gate.h:9",
    ),
}


SLOW = ("too-many-steps",)
"""Cases that take minutes where a kernel is emulated."""


def compile_cases(folder: Path, names: Iterable[str]) -> None:
    """Compile cases into `folder/NAME.o`; where no file has the name of a template, so that lines have
    no text that would change with it."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            case = CASES[name]
            text = f'#define LICENCE "{case.licence}"\n{PRELUDE}{case.body}\n'
            Path(scratch, f"{name}.c").write_text(text)
            command = [*_CLANG, "-o", folder.absolute() / f"{name}.o", f"{name}.c"]
            subprocess.run(command, cwd=scratch, check=True)


def refuse(data: bytes) -> dict[str, Any]:
    """What this kernel says of an object, as a fixture keeps it."""
    from wardgate.runtime.elf import read_object
    from wardgate.runtime.errors import VerifierError
    from wardgate.runtime.object import load_object

    try:
        with load_object(read_object(data)):
            return {"accepted": True}
    except VerifierError as error:
        return {"log": _trimmed(error.log)}


def _trimmed(log: str) -> str:
    """Of a long log the beginning and the end, which is what its reader looks at."""
    rows = log.splitlines()
    if len(rows) <= _HEAD + _TAIL:
        return log
    return "\n".join([*rows[:_HEAD], *rows[-_TAIL:]]) + "\n"


def lines_of(data: bytes) -> list[list[Any]]:
    """The source lines of the program, as a runtime.relocate.SourceLine takes them."""
    from wardgate.runtime.elf import read_object
    from wardgate.runtime.relocate import link_program

    spec = read_object(data)
    fds = dict.fromkeys([*spec.maps, *spec.data], 3)
    return [
        [line.index, line.file, line.line, line.column, line.text]
        for line in link_program(spec, spec.programs["rejected"], fds).lines
    ]


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    if "--load" not in sys.argv:
        compile_cases(folder, CASES)
        return
    for path in sorted(folder.glob("*.o"), key=lambda path: (path.stem in SLOW, path)):
        data = path.read_bytes()
        said = {"case": path.stem, "kernel": os.uname().release, "lines": lines_of(data), **refuse(data)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
