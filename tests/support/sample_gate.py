"""A small program in the form that code generation gives, with what goes with it: for tests of the stages
behind code generation, which must not depend on what a policy makes of the templates."""

from __future__ import annotations

from wardgate.compiler.codegen.unit import TranslationUnit
from wardgate.runtime.layout.manifest import FORMAT_VERSION, Manifest, MapUse, ProgramUse, Table

SHARED = "# shared\ngroups:\n  group:admins: [alice]\npolicies: {}\n"
OFFICE = "version: 1\npolicies:\n  alice:\n    allow: ['10.0.0.0/8 22/tcp']\n"
TEMPLATE = "/* template */\nstatic int looked_up(u32 key)\n{\n\treturn t_wide[key & 15];\n}\n"

_TEXT = """
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define MEMBER(name, value) int (*name)[value]

struct device { u32 subject; u32 flags; u64 deadline; };
struct {
	MEMBER(type, 2); MEMBER(max_entries, 16);
	u32 *key; struct device *value;
} devices SEC(".maps");
struct {
	MEMBER(type, 1); MEMBER(max_entries, 16); MEMBER(map_flags, 1);
	u32 *key; u32 *value;
} addresses SEC(".maps");

const volatile u16 t_narrow[64] SEC(".bss.ro.t_narrow");
const volatile u32 t_wide[16] SEC(".bss.ro.t_wide");
const volatile struct { u32 link_header, trace, generation, reserved; } config SEC(".rodata.config");
char _license[] SEC("license") = "Dual MIT/GPL";

static void *(*const map_lookup)(void *, const void *) = (void *)1;

#line 2 "bpf_templates/lookup.h"
static __attribute__((noinline)) int looked_up(u32 key)
{
	return t_wide[key & 15] + config.link_header;
}
#line HERE "gate.c"
SEC("tc") int gate_ingress(void *context)
{
	u32 key = 1;
	struct device *device = map_lookup(&devices, &key);
	if (!device)
		return 2;
#line 4 "office.yaml"
	return looked_up(device->subject) == 7 ? -1 : 2;
#line HERE "gate.c"
}
SEC("tc") int gate_egress(void *context)
{
	u32 key = t_narrow[3];
	u32 *slot = map_lookup(&addresses, &key);
#line 3 "../shared.yaml"
	return slot ? looked_up(*slot) : 2;
#line HERE "gate.c"
}
SEC("xdp") int gate_xdp(void *context)
{
	return looked_up(3) ? 2 : 1;
}
"""

TEXT = "\n".join(line.replace("HERE", str(number + 1)) for number, line in enumerate(_TEXT.split("\n"), 1))

UNIT = TranslationUnit(
    "gate.c", TEXT, {"../shared.yaml": SHARED, "office.yaml": OFFICE, "bpf_templates/lookup.h": TEMPLATE}
)

TABLES = {".rodata.t_narrow": bytes(range(128)), ".rodata.t_wide": bytes(range(64))}

MANIFEST = Manifest(
    format=FORMAT_VERSION,
    wardgate="0",
    digest="",
    files=(),
    tunnel=("10.9.0.0/16",),
    tunnel4=None,
    tunnel6=None,
    classes=2,
    default_class=1,
    subjects={"alice": 1},
    resolved={},
    rules=(),
    buckets=(),
    tables=(
        Table("narrow", ".rodata.t_narrow", 2, 64, "of 16 bits"),
        Table("wide", ".rodata.t_wide", 4, 16, "of 32 bits"),
    ),
    tables_digest="",
    parameters={},
    maps=(MapUse("devices", "gate", 16), MapUse("addresses", "gate", 16)),
    programs=(
        ProgramUse("gate_ingress", "tc", "tc"),
        ProgramUse("gate_egress", "tc", "tc"),
        ProgramUse("gate_xdp", "xdp", "xdp"),
    ),
    features=(),
    tools={},
)
