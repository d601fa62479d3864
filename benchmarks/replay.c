/* Replays a trace: each run writes the next tuple into the packet and goes on to the program under test.
 *
 * VERSION (4 or 6) and XDP (0 or 1) are defined in front of this. The tail call leaves this program for
 * good, so the verdict is that of the program under test. */

enum {
	LINK = 14,
	REPLAY_FAILED = 77,
};

#if VERSION == 4
struct tuple {
	u32 device;
	u32 remote;
	u16 source_port;
	u16 port;
	u32 reserved;
};
enum { SOURCE = LINK + 12, PORTS = LINK + 20 };
#else
struct tuple {
	u64 device[2];
	u64 remote[2];
	u16 source_port;
	u16 port;
	u32 reserved;
};
enum { SOURCE = LINK + 8, PORTS = LINK + 40 };
#endif

struct place {
	u32 next;
	u32 length;
};

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	struct tuple *value;
} trace SEC(".maps");

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	MAP_FIELD(map_flags, 1024);
	u32 *key;
	struct place *value;
} place SEC(".maps");

/* A prog_array, which the loader makes of it. */
struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	u32 *value;
} target SEC(".maps");

static long (*const bpf_tail_call)(void *context, void *programs, u32 index) = (void *)12;

#if XDP
SEC("xdp")
int replay(struct xdp_md *context)
#else
SEC("tc")
int replay(struct __sk_buff *context)
#endif
{
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;
	u32 zero = 0;
	u32 at;
	struct place *where = bpf_map_lookup_elem(&place, &zero);
	struct tuple *tuple;

	if (!where || data + PORTS + 4 > end)
		return REPLAY_FAILED;
	at = where->next;
	tuple = bpf_map_lookup_elem(&trace, &at);
	if (!tuple)
		return REPLAY_FAILED;
	where->next = at + 1 < where->length ? at + 1 : 0;
#if VERSION == 4
	*(u32 *)(data + SOURCE) = tuple->device;
	*(u32 *)(data + SOURCE + 4) = tuple->remote;
#else
	*(u64 *)(data + SOURCE) = tuple->device[0];
	*(u64 *)(data + SOURCE + 8) = tuple->device[1];
	*(u64 *)(data + SOURCE + 16) = tuple->remote[0];
	*(u64 *)(data + SOURCE + 24) = tuple->remote[1];
#endif
	*(u16 *)(data + PORTS) = tuple->source_port;
	*(u16 *)(data + PORTS + 2) = tuple->port;
	bpf_tail_call(context, &target, 0);
	return REPLAY_FAILED;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
