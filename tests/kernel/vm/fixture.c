/* Exercises what the interpreter emulates: maps, loops, subprograms, global data, context fields. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
#define MEMBER(name, value) int (*name)[value]

struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

struct key {
	u32 low;
	u16 high;
	u16 kind;
};

struct value {
	u64 count;
	u64 last;
};

struct {
	MEMBER(type, 1);
	MEMBER(max_entries, 8);
	MEMBER(map_flags, 1);
	struct key *key;
	struct value *value;
} hash SEC(".maps");

struct {
	MEMBER(type, 2);
	MEMBER(max_entries, 16);
	u32 *key;
	struct value *value;
} array SEC(".maps");

struct {
	MEMBER(type, 6);
	MEMBER(max_entries, 4);
	u32 *key;
	struct value *value;
} counters SEC(".maps");

struct {
	MEMBER(type, 27);
	MEMBER(max_entries, 4096);
} ring SEC(".maps");

static void *(*const lookup)(void *, const void *) = (void *)1;
static long (*const update)(void *, const void *, const void *, u64) = (void *)2;
static long (*const remove)(void *, const void *) = (void *)3;
static long (*const pull)(struct __sk_buff *, u32) = (void *)39;
static long (*const output)(void *, void *, u64, u64) = (void *)130;
static void *(*const reserve)(void *, u64, u64) = (void *)131;
static void (*const submit)(void *, u64) = (void *)132;
static void (*const discard)(void *, u64) = (void *)133;

const volatile u16 t_weights[256] SEC(".rodata.t_weights") = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3 };
volatile u64 total = 17;
volatile u32 runs;
char LICENSE[] SEC("license") = "Dual MIT/GPL";

static NOINLINE u64 mix(u64 a, u64 b)
{
	for (u32 i = 0; i < 9; i++) {
		a = (a ^ b >> 7) * 0x9E3779B97F4A7C15ULL;
		b += a / (i + 3) + (u32)a % 1000003;
		if ((s64)a < (s64)b)
			a = __builtin_bswap64(a) + (int)(b >> 5);
	}
	return a - b;
}

/* The caller's memory through a pointer, and a second level of calls. */
static NOINLINE int fill(struct value *v, u64 seed)
{
	if (!v)
		return -1;
	v->count = mix(seed, 99);
	v->last = mix(v->count, seed);
	return (int)(v->last & 0xff) - 128;
}

static int touch_maps(u8 first, u8 second)
{
	struct key key = { .low = first & 15, .high = second & 3, .kind = 7 };
	struct value fresh = { .count = 1, .last = second };
	struct value *found = lookup(&hash, &key);
	u32 index = second & 31;
	int result = 0;

	if (found) {
		found->last = found->last << 1 ^ second;
		__sync_fetch_and_add(&found->count, 3);
		if (found->count > 10)
			result = remove(&hash, &key);
	} else {
		result = update(&hash, &key, &fresh, first & 1 ? 1 : 2);
	}
	found = lookup(&array, &index);
	if (found) {
		result += found->count & 15;
		found->count += first;
	} else {
		result += 1000;
	}
	index = first & 3;
	found = lookup(&counters, &index);
	if (found)
		found->count++;
	return result;
}

static void send(u64 what, u32 kind)
{
	u64 record[3] = { what, kind, ~what };
	u64 *place;

	if (kind & 1)
		output(&ring, record, sizeof(record), 0);
	place = reserve(&ring, 16, 0);
	if (!place)
		return;
	place[0] = what;
	place[1] = kind;
	if (kind & 2)
		submit(place, 0);
	else
		discard(place, 0);
}

SEC("tc")
int exercise(struct __sk_buff *skb)
{
	u8 *data = (u8 *)(unsigned long)skb->data;
	u8 *end = (u8 *)(unsigned long)skb->data_end;
	struct value scratch;
	u32 sum = skb->protocol + (u16)skb->mark;
	u64 seed;
	int result = 0;

	if (data + 32 > end) {
		if (pull(skb, 32))
			return -7;
		data = (u8 *)(unsigned long)skb->data;
		end = (u8 *)(unsigned long)skb->data_end;
		if (data + 32 > end)
			return -8;
	}
	for (u32 i = 0; i < 32; i++)
		sum = sum * 31 + t_weights[data[i]];
	seed = *(u64 *)data ^ *(u64 *)(data + 14);
	for (u32 i = 14; i < 22; i++)
		result += touch_maps(data[i], data[i + 8]);
	result += fill(&scratch, seed + sum);
	send(scratch.count, sum);
	*(u64 *)(data + 14) = scratch.last;
	switch (data[30] & 7) {
	case 0: result ^= 0x55; break;
	case 1: result -= sum; break;
	case 2: result = -result; break;
	case 3: result *= 3; break;
	case 4: result /= 7; break;
	default: result += skb->len;
	}
	total += sum;
	runs++;
	return result;
}
