/* A gate small enough to see through: the device's address and the class of its user decide, by the
 * table t_action. Compiled by conftest.py, which puts the shared structs before it. */

#define SEC(name) __attribute__((section(name), used))

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*boot_ns)(void) = (void *)125;
static long (*ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;


#define MAP(NAME, TYPE, ENTRIES, FLAGS, KEY, VALUE)                                                        \
	struct {                                                                                           \
		int (*type)[TYPE];                                                                         \
		int (*max_entries)[ENTRIES];                                                               \
		int (*map_flags)[FLAGS];                                                                   \
		KEY *key;                                                                                  \
		VALUE *value;                                                                              \
	} NAME SEC(".maps")

MAP(devices, 2, 65536, 1024, u32, struct device);
MAP(flows, 9, 65536, 0, struct flow_key, struct flow);
MAP(limits, 2, 65536, 0, u32, struct limit);
MAP(reasons, 6, 32, 0, u32, struct counter);
MAP(subject_class, 2, 65536, 1024, u32, u32);
MAP(rule_hits, 6, RULES + 1, 0, u32, struct counter);
#ifdef INDEX_SIZE
MAP(tunnel_index, 2, INDEX_SIZE, 1024, u32, u32);
#else
MAP(addresses, 1, 131072, 1, struct address_key, u32);
#endif
struct {
	int (*type)[27];
	int (*max_entries)[262144];
} events SEC(".maps");

const volatile struct config config SEC(".rodata.config") = {0};
const volatile u32 t_action[4] SEC(".rodata.t_action") = ACTIONS;
const unsigned char manifest[] SEC(".wardgate.manifest") = MANIFEST;
const char licence[] SEC("license") = "Dual MIT/GPL";

enum { PASS, NO_DEVICE, LOCKED, NO_BUCKET, NO_RULE, DENY_RULE, NEEDS_LOGIN, EXPIRED, IDLE, MALFORMED };

static __attribute__((always_inline)) u32 action_of(u32 rule)
{
	/* Else LLVM drops the AND, which the verifier of Linux 6.1 needs. */
	asm("" : "+r"(rule));
	return t_action[rule & 3];
}

static __attribute__((always_inline)) u32 slot_of(u32 address)
{
#ifdef INDEX_SIZE
	u32 offset = __builtin_bswap32(address) - INDEX_BASE;
	if (offset >= INDEX_SIZE)
		return 0;
	u32 *slot = map_lookup(&tunnel_index, &offset);
#else
	struct address_key key = {};
	key.address[10] = key.address[11] = 0xff;
	__builtin_memcpy(key.address + 12, &address, 4);
	u32 *slot = map_lookup(&addresses, &key);
#endif
	return slot ? *slot : 0;
}

static __attribute__((always_inline)) u32 judge(u32 slot, u32 from_device, u32 *rule)
{
	struct device *device = map_lookup(&devices, &slot);
	if (!slot || !device)
		return NO_DEVICE;
	u32 subject = device->subject;
	u32 *class = map_lookup(&subject_class, &subject);
	if (!class || *class == 0 || *class > 3)
		return NO_DEVICE;
	*rule = *class;
	u32 action = action_of(*class);
	if (action == 1)
		return PASS;
	if (action == 3)
		return DENY_RULE;
	u64 now = boot_ns();
	if (device->flags & 1)
		return LOCKED;
	if (!device->deadline)
		return NEEDS_LOGIN;
	if (now >= device->deadline)
		return EXPIRED;
	if (device->idle_limit && now - device->last_active > device->idle_limit)
		return IDLE;
	if (from_device)
		device->last_active = now;
	return PASS;
}

static __attribute__((always_inline)) void count(void *map, u32 key, u64 bytes)
{
	struct counter *counter = map_lookup(map, &key);
	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
}

static __attribute__((always_inline)) u32 decide(void *data, void *end, u32 direction)
{
	u32 header = config.link_header;
	if (header > 14)
		return MALFORMED;
	unsigned char *ip = data + header;
	if ((void *)(ip + 20) > end || ip[0] >> 4 != 4)
		return MALFORMED;
	u32 source = *(u32 *)(ip + 12), destination = *(u32 *)(ip + 16);
	u32 rule = 0, slot = slot_of(direction ? destination : source);
	u32 reason = judge(slot, !direction, &rule);
	count(&rule_hits, rule, 28);
	if (reason != PASS) {
		struct event event = {};
		struct limit *limit = map_lookup(&limits, &slot);
		event.time = boot_ns();
		event.suppressed = limit ? limit->suppressed : 0;
		event.slot = slot;
		event.generation = config.generation;
		event.rule = rule;
		event.source[10] = event.source[11] = event.destination[10] = event.destination[11] = 0xff;
		__builtin_memcpy(event.source + 12, &source, 4);
		__builtin_memcpy(event.destination + 12, &destination, 4);
		event.length = 28;
		event.protocol = ip[9];
		event.direction = direction;
		event.reason = reason;
		event.version = 4;
		event.verdict = rule ? action_of(rule) : 0;
		ringbuf_output(&events, &event, sizeof(event), 0);
	}
	return reason;
}

static __attribute__((always_inline)) u32 judge_packet(void *data, void *end, u32 direction)
{
	u32 reason = decide(data, end, direction);
	count(&reasons, direction * 16 + reason, 28);
	return reason;
}

struct __sk_buff {
	u32 before[19];
	u32 data;
	u32 data_end;
};

struct xdp_md {
	u32 data;
	u32 data_end;
};

SEC("tc") int gate_ingress(struct __sk_buff *skb)
{
	return judge_packet((void *)(long)skb->data, (void *)(long)skb->data_end, 0) == PASS ? -1 : 2;
}

SEC("tc") int gate_egress(struct __sk_buff *skb)
{
	return judge_packet((void *)(long)skb->data, (void *)(long)skb->data_end, 1) == PASS ? -1 : 2;
}

SEC("xdp") int gate_xdp(struct xdp_md *xdp)
{
	return judge_packet((void *)(long)xdp->data, (void *)(long)xdp->data_end, 0) == PASS ? 2 : 1;
}
