"""The kernel functions that programs call, by number: their names, and the first Linux that has each.

Numbers: enum bpf_func_id in include/uapi/linux/bpf.h. Releases: those of the commits that brought them.
"""

from __future__ import annotations

from typing import Final

HELPERS: Final = {
    1: ("bpf_map_lookup_elem", "3.19"),
    2: ("bpf_map_update_elem", "3.19"),
    3: ("bpf_map_delete_elem", "3.19"),
    5: ("bpf_ktime_get_ns", "4.1"),
    8: ("bpf_get_smp_processor_id", "4.1"),
    39: ("bpf_skb_pull_data", "4.9"),
    118: ("bpf_jiffies64", "5.6"),
    125: ("bpf_ktime_get_boot_ns", "5.8"),
    130: ("bpf_ringbuf_output", "5.8"),
    131: ("bpf_ringbuf_reserve", "5.8"),
    132: ("bpf_ringbuf_submit", "5.8"),
    133: ("bpf_ringbuf_discard", "5.8"),
}
"""Number to name and release: those that templates use, and their neighbours."""


def helper_name(number: int) -> str:
    """The helper's name; `helper 999` where it is none of these."""
    found = HELPERS.get(number)
    return found[0] if found else f"helper {number}"
