"""Names of the kernel features that an artefact may need and a runtime tries (runtime.probe)."""

from typing import Final

BTF: Final = "btf"
BOUNDED_LOOPS: Final = "bounded loops"
FROZEN_TABLES: Final = "frozen tables"
MEMORY_ARGUMENTS: Final = "global functions with memory arguments"
MMAPABLE_ARRAYS: Final = "mmapable arrays"
RING_BUFFER: Final = "ring buffer"
BOOT_CLOCK: Final = "bpf_ktime_get_boot_ns"
TICKS: Final = "bpf_jiffies64"

ARTEFACT_FEATURES: Final = (
    BTF, BOUNDED_LOOPS, FROZEN_TABLES, MEMORY_ARGUMENTS, MMAPABLE_ARRAYS, RING_BUFFER, BOOT_CLOCK,
    TICKS,
)  # fmt: skip
"""What a kernel must have for any artefact; Linux 5.13 has all."""

FUNCTION_INFO: Final = "function and line info"
PROGRAM_TC: Final = "tc programs"
PROGRAM_XDP: Final = "xdp programs"
BATCH: Final = "batch operations"
TEST_RUN: Final = "test run"
TCX_LINK: Final = "tcx link"
XDP_LINK: Final = "xdp link"
LINK_UPDATE: Final = "link update"
