/* What every competitor has in common: parsing, the device's owner, the session, counters.
 *
 * A competitor includes this and defines verdict_of(), which is the part that is compared. IPv4
 * and IPv6 without options or extension headers, TCP and UDP: what the traces are made of. */

enum {
	LINK = 14,
	TCP = 6,
	UDP = 17,
	ALLOW = 1,
	MFA = 2,
	DENY = 3,
	LOCKED = 1,
};

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 type;
};

struct header4 {
	u8 version_length;
	u8 service;
	u16 length;
	u16 identification;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct header6 {
	u32 version_class_label;
	u16 length;
	u8 next;
	u8 hops;
	u32 source[4];
	u32 destination[4];
};

struct ports {
	u16 source;
	u16 destination;
	u32 rest;
};

struct address6 {
	u32 word[4];
};

struct owner {
	u32 class;
	u32 flags;
	u64 deadline;
	u64 groups[2];
};

struct counter {
	u64 packets;
	u64 bytes;
};

/* `remote` points to the remote address in the packet, `ports` behind the IP header. */
struct request {
	u32 version;
	u32 protocol;
	u32 port;
	u32 bytes;
	const u32 *remote;
	const struct ports *ports;
};

struct key4 {
	u32 length;
	u32 address;
};

struct key6 {
	u32 length;
	u32 address[4];
};

#define KEY4(r) { 32, (r)->remote[0] }
#define KEY6(r) { 128, { (r)->remote[0], (r)->remote[1], (r)->remote[2], (r)->remote[3] } }

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	struct owner *value;
} owners4 SEC(".maps");

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	struct address6 *key;
	struct owner *value;
} owners6 SEC(".maps");

struct {
	MAP_FIELD(type, 6);
	MAP_FIELD(max_entries, 4);
	u32 *key;
	struct counter *value;
} counters SEC(".maps");

INLINE u32 verdict_of(const struct owner *owner, const struct request *r);

INLINE int parse(u8 *data, u8 *end, struct request *r, struct owner **owner)
{
	struct ethernet *link = (void *)data;
	struct ports *ports;

	if (data + LINK > end)
		return 0;
	if (link->type == from_network16(0x0800)) {
		struct header4 *ip = (void *)(data + LINK);

		if ((u8 *)(ip + 1) > end || ip->version_length != 0x45 || ip->fragment & from_network16(0x3fff))
			return 0;
		ports = (void *)(ip + 1);
		r->version = 4;
		r->protocol = ip->protocol;
		r->bytes = from_network16(ip->length);
		r->remote = &ip->destination;
		u32 source = ip->source;
		*owner = bpf_map_lookup_elem(&owners4, &source);
	} else if (link->type == from_network16(0x86dd)) {
		struct header6 *ip = (void *)(data + LINK);
		struct address6 source;

		if ((u8 *)(ip + 1) > end)
			return 0;
		ports = (void *)(ip + 1);
		r->version = 6;
		r->protocol = ip->next;
		r->bytes = from_network16(ip->length) + sizeof(*ip);
		r->remote = ip->destination;
		source = *(struct address6 *)ip->source;
		*owner = bpf_map_lookup_elem(&owners6, &source);
	} else {
		return 0;
	}
	if (!*owner || (r->protocol != TCP && r->protocol != UDP) || (u8 *)(ports + 1) > end)
		return 0;
	r->ports = ports;
	r->port = from_network16(ports->destination);
	return 1;
}

INLINE int may_pass(u8 *data, u8 *end)
{
	struct request r = {};
	struct owner *owner = NULL;
	struct counter *counter;
	u32 verdict = 0;
	int pass;

	if (parse(data, end, &r, &owner))
		verdict = verdict_of(owner, &r) & 3;
	pass = verdict == ALLOW;
	if (verdict == MFA && owner)
		pass = !(owner->flags & LOCKED) && owner->deadline && bpf_ktime_get_boot_ns() < owner->deadline;
	counter = bpf_map_lookup_elem(&counters, &verdict);
	if (counter) {
		counter->packets++;
		counter->bytes += r.bytes;
	}
	return pass;
}

#if XDP
SEC("xdp")
int decide(struct xdp_md *context)
{
	return may_pass((u8 *)(unsigned long)context->data, (u8 *)(unsigned long)context->data_end) ? XDP_PASS :
												      XDP_DROP;
}
#else
SEC("tc")
int decide(struct __sk_buff *skb)
{
	return may_pass((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end) ? TC_PASS : TC_DROP;
}
#endif

char LICENSE[] SEC("license") = "Dual MIT/GPL";
