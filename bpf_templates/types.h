/* Kernel types and helpers that the programs use, and no more (include/uapi/linux/bpf.h). */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define NULL ((void *)0)
#define SEC(name) __attribute__((section(name), used))
/* INLINE: what every packet takes. COLD: what few packets take, in functions that the verifier checks once
 * and apart from their callers (global ones), so that the paths through them do not multiply with those
 * around them. Such a function takes numbers, the context, and pointers to records, which may be NULL for
 * all that the verifier knows. */
#define INLINE static inline __attribute__((always_inline))
#define COLD __attribute__((noinline))
#define MAP_FIELD(name, value) int (*name)[value]
#define READ_ONCE(place) (*(const volatile __typeof__(place) *)&(place))
#define WRITE_ONCE(place, value) (*(volatile __typeof__(place) *)&(place) = (value))

/* What a classifier sees of a packet; the kernel rewrites each access. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
};

struct xdp_md {
	u32 data;
	u32 data_end;
};

enum {
	TC_PASS = -1,	/* TCX_NEXT, TC_ACT_UNSPEC: programs behind this one may still drop */
	TC_DROP = 2,
	XDP_DROP = 1,
	XDP_PASS = 2,
	BPF_ANY = 0,
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_skb_pull_data)(struct __sk_buff *skb, u32 len) = (void *)39;
static u64 (*const bpf_jiffies64)(void) = (void *)118;
static u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*const bpf_ringbuf_output)(void *ringbuf, void *data, u64 size, u64 flags) = (void *)130;

INLINE u16 from_network16(u16 value)
{
	return __builtin_bswap16(value);
}

INLINE u32 from_network32(u32 value)
{
	return __builtin_bswap32(value);
}

INLINE u64 from_network64(u64 value)
{
	return __builtin_bswap64(value);
}
