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

MAP(addresses, 1, 131072, 1, struct address_key, struct owner);
MAP(devices, 2, 65536, 1024, u32, struct device);
MAP(flows, 9, 65536, 0, struct flow_key, struct flow);
MAP(limits, 2, 65536, 0, u32, struct limit);
MAP(processors, 6, 1, 0, u32, struct processor);
MAP(subject_class, 2, 65536 / CLASSES_AN_ENTRY, 1024, u32, struct classes);
MAP(rule_hits, 6, RULES / 64 + 1, 0, u32, struct hits);
#ifdef INDEX_SIZE
MAP(tunnel4, 2, INDEX_SIZE, 1024, u32, struct owner);
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

static __attribute__((always_inline)) u64 owner_of(u32 address)
{
#ifdef INDEX_SIZE
	u32 offset = __builtin_bswap32(address) - INDEX_BASE;
	if (offset < INDEX_SIZE) {
		u64 *found = map_lookup(&tunnel4, &offset);
		return found ? *found : 0;
	}
#endif
	struct address_key key = {};
	key.address[10] = key.address[11] = 0xff;
	__builtin_memcpy(key.address + 12, &address, 4);
	u64 *owner = map_lookup(&addresses, &key);
	return owner ? *owner : 0;
}

static __attribute__((always_inline)) u32 class_of(u32 subject)
{
	u32 entry = subject / CLASSES_AN_ENTRY;
	u64 *classes = map_lookup(&subject_class, &entry);
	if (!classes)
		return 0;
	return *classes >> subject % CLASSES_AN_ENTRY * (64 / CLASSES_AN_ENTRY) & ((1ULL << 64 / CLASSES_AN_ENTRY) - 1);
}

static __attribute__((always_inline)) u32 judge(u64 owner, u32 from_device, u32 *rule)
{
	u32 slot = owner;
	struct device *device = map_lookup(&devices, &slot);
	if (!slot || !device)
		return NO_DEVICE;
	u32 class = class_of(owner >> 32);
	if (class == 0 || class > 3)
		return NO_DEVICE;
	*rule = class;
	u32 action = action_of(class);
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

static __attribute__((always_inline)) void count(u64 *counter, u64 bytes)
{
	counter[0]++;
	counter[1] += bytes;
}

static __attribute__((always_inline)) void count_rule(u32 rule, u64 bytes)
{
	u32 block = rule / 64;
	struct hits *hits = map_lookup(&rule_hits, &block);
	if (hits)
		count(&hits->rules[rule % 64 * 2], bytes);
}

static __attribute__((always_inline)) void count_reason(u32 direction, u32 reason, u64 bytes)
{
	u32 none = 0, place = direction * 16 + reason;
	struct processor *processor = map_lookup(&processors, &none);
	asm("" : "+r"(place));
	if (processor && place < 32)
		count(&processor->reasons[place * 2], bytes);
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
	u64 owner = owner_of(direction ? destination : source);
	u32 rule = 0, slot = owner;
	u32 reason = judge(owner, !direction, &rule);
	count_rule(rule, 28);
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
	count_reason(direction, reason, 28);
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
