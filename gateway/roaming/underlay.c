/* Sees which sources send to WireGuard's port, and asks userspace to look when one is new.
 *
 * It stands on the interfaces that WireGuard's datagrams come in by, and lets every packet pass. Whoever
 * forges packets can make it ask, and nothing else: what an endpoint is, WireGuard says.
 *
 * A new source is urgent: a peer may have moved there. So are new keys (a new receiver index) of a source
 * where a peer is already, since another peer may have come to the same place; but that is rare, and a peer
 * that stays gets new keys every two minutes, so those are not urgent. */

static long (*const bpf_skb_load_bytes_relative)(const void *skb, u32 offset, void *to, u32 len, u32 from) = (void *)68;

enum {
	ETHERTYPE_IPV4 = 0x0008,	/* network order */
	ETHERTYPE_IPV6 = 0xdd86,
	FROM_NETWORK = 1,		/* BPF_HDR_START_NET */
	UDP = 17,
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT_HEADER = 44,
	AUTHENTICATION = 51,
	DESTINATION = 60,
	MOST_HEADERS = 8,
	UNSEEN = 0,
	INITIATION = 1,
	RESPONSE = 2,
	DATA = 4,
	WAKE_NOW = 2,			/* BPF_RB_FORCE_WAKEUP */
};
#define ASK_AGAIN 1000000000ULL

struct ip4 {
	u8 version_length, service;
	u16 length, identification, fragment;
	u8 lifetime, protocol;
	u16 checksum;
	u32 source, destination;
};

struct ip6 {
	u32 version_class_flow;
	u16 length;
	u8 next, hops;
	u64 source[2], destination[2];
};

struct datagram {
	u16 source_port, destination_port, length, checksum;
	u32 type, index;
};

INLINE int load(struct __sk_buff *skb, u32 at, void *to, u32 size)
{
	return !bpf_skb_load_bytes_relative(skb, at, to, size, FROM_NETWORK);
}

INLINE void wake_up(u64 *told)
{
	u64 empty = 0;

	if (!READ_ONCE(*told) && !__sync_lock_test_and_set(told, 1))
		bpf_ringbuf_output(&wake, &empty, sizeof(empty), WAKE_NOW);
}

INLINE void ask(int urgent)
{
	u32 only = 0;
	struct requests *r = bpf_map_lookup_elem(&asked, &only);

	if (!r)
		return;
	/* First counted, then told: who is told and looks has seen the count. */
	if (urgent) {
		__sync_fetch_and_add(&r->urgent, 1);
		wake_up(&r->urgent_told);
	} else {
		__sync_fetch_and_add(&r->lazy, 1);
		wake_up(&r->lazy_told);
	}
}

INLINE void notice(const u64 *address, u16 port, u16 kind, u32 index)
{
	struct source source = { .port = port };
	struct sighting_key key = { .port = port, .kind = kind, .index = index };
	struct sighting now_seen = {}, *seen;
	int is_known;

	source.address[0] = key.address[0] = address[0];
	source.address[1] = key.address[1] = address[1];
	is_known = bpf_map_lookup_elem(&sources, &source) != NULL;
	seen = bpf_map_lookup_elem(&sightings, &key);
	if (seen && is_known)
		return;
	now_seen.time = bpf_ktime_get_boot_ns();
	if (seen) {
		/* A look may have come before WireGuard had the packet. So a source that stays unknown is
		 * asked about again. */
		if (now_seen.time - READ_ONCE(seen->time) < ASK_AGAIN)
			return;
		WRITE_ONCE(seen->time, now_seen.time);
	} else {
		bpf_map_update_elem(&sightings, &key, &now_seen, BPF_ANY);
	}
	ask(!is_known);
}

/* A datagram whose UDP header is `at` bytes behind the start of the IP header. */
INLINE void datagram_at(struct __sk_buff *skb, u32 at, const u64 *address, int is_fragment)
{
	struct datagram d = {};

	if (!load(skb, at, &d, sizeof(d))) {
		/* What is too short for WireGuard is none of its messages, but as the first of some fragments. */
		if (!load(skb, at, &d, 8) || d.destination_port != underlay.port || !is_fragment)
			return;
		notice(address, d.source_port, UNSEEN, 0);
		return;
	}
	if (d.destination_port != underlay.port)
		return;
	if (d.type == DATA) {
		notice(address, d.source_port, DATA, d.index);
	} else if (d.type == INITIATION) {
		notice(address, d.source_port, INITIATION, 0);
	} else if (d.type == RESPONSE) {
		/* The index of the sender stands before that of the receiver. */
		if (!load(skb, at + sizeof(d), &d.index, sizeof(d.index)))
			d.index = 0;
		notice(address, d.source_port, RESPONSE, d.index);
	}
	/* Others change no endpoint: cookies, and what WireGuard drops unread. */
}

INLINE void see4(struct __sk_buff *skb)
{
	u64 address[2] = {};
	struct ip4 ip = {};
	u32 fragment;

	if (!load(skb, 0, &ip, sizeof(ip)) || ip.protocol != UDP)
		return;
	fragment = from_network16(ip.fragment) & 0x3fff;
	/* Of later fragments the first one tells. */
	if (fragment & 0x1fff)
		return;
	address[1] = MAPPED_WORD(ip.source);
	datagram_at(skb, (ip.version_length & 15) * 4, address, fragment != 0);
}

INLINE void see6(struct __sk_buff *skb)
{
	int is_fragment = 0, step;
	struct ip6 ip = {};
	u8 header[8] = {};
	u32 at = sizeof(ip), next;

	if (!load(skb, 0, &ip, sizeof(ip)))
		return;
	next = ip.next;
	for (step = 0; step < MOST_HEADERS && next != UDP; step++) {
		if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION && next != AUTHENTICATION &&
		    next != FRAGMENT_HEADER)
			return;
		if (!load(skb, at, header, sizeof(header)))
			return;
		if (next == FRAGMENT_HEADER) {
			if (header[2] || header[3] & 0xf8)
				return;
			is_fragment |= header[3] & 1;
			at += 8;
		} else if (next == AUTHENTICATION) {
			at += (header[1] + 2) * 4;
		} else {
			at += (header[1] + 1) * 8;
		}
		next = header[0];
	}
	if (next == UDP)
		datagram_at(skb, at, ip.source, is_fragment);
	else
		/* More headers than anybody sends: whatever it is, of whatever port. */
		notice(ip.source, 0, UNSEEN, 0);
}

SEC("tc") int underlay_watch(struct __sk_buff *skb)
{
	if (skb->protocol == ETHERTYPE_IPV4)
		see4(skb);
	else if (skb->protocol == ETHERTYPE_IPV6)
		see6(skb);
	return TC_PASS;
}
