/* The fast path: common packets that may pass. It never drops; what it does not let pass is decided by the
 * slow path, from the beginning.
 *
 * Common are TCP and UDP without IP options, extension headers and fragments, from a device by its user's
 * policy, or to it as a reply to such. */

enum { FAST_TRANSPORT = sizeof(struct tcp_header) };	/* bytes of transport that a common packet has at least */

/* Whether a packet with this transport header may be common. As in parse_tcp: to a device, a segment passes
 * as a reply, and not every one may be that. */
INLINE int fast_transport(const void *header, u32 protocol, u32 direction)
{
	const struct tcp_header *tcp = header;

	if (protocol != PROTOCOL_TCP)
		return protocol == PROTOCOL_UDP;
	if (tcp->data_offset < 5 << 4)
		return 0;
	return direction == FROM_DEVICE ||
	       ((tcp->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN && (tcp->flags & (TCP_ACK | TCP_RST)));
}

/* How a packet passed, for those who trace. */
struct fast_outcome {
	u32 slot;
	u32 bucket;
	u32 decision;
};

INLINE struct outcome fast_told(u32 slot, u32 bucket, u32 decision)
{
	return (struct outcome){
		.slot = slot,
		.bucket = bucket,
		.rule = decision >> RULE_SHIFT,
		.verdict = decision & VERDICT_MASK,
	};
}

/* What is known of a packet whose remote address is looked up. What is in the packet is read again where it
 * is needed: registers that outlive a call are few, and the verifier need not follow TCP and UDP apart. */
struct fast {
	const struct ports_header *ports;
	u64 remote[2];		/* in network order */
	u64 owner;
	u32 length;
};

INLINE u32 fast_service(u32 protocol, u32 port)
{
#if PORTS
	/* 6 is TCP, 17 UDP. */
	return service_of_port(protocol >> 4 & 1, port);
#else
	return service_of(protocol, port);
#endif
}

INLINE u32 fast_device_port(const struct fast *f, u32 direction)
{
	return from_network16(direction == FROM_DEVICE ? READ_ONCE(f->ports->source_port) :
						    READ_ONCE(f->ports->destination_port));
}

INLINE u32 fast_remote_port(const struct fast *f, u32 direction)
{
	return from_network16(direction == FROM_DEVICE ? READ_ONCE(f->ports->destination_port) :
						    READ_ONCE(f->ports->source_port));
}

/* A datagram opens a flow, or belongs to one. */
INLINE int fast_flow(const struct fast *f, u32 direction, struct processor *cpu)
{
	struct flow_words words = {
		.remote = { f->remote[0], f->remote[1] },
		.rest = flow_rest(FROM_DEVICE, PROTOCOL_UDP, fast_remote_port(f, direction),
				  fast_device_port(f, direction)),
	};
	u64 places = flow_places(&words);
	u64 now = clock(cpu);
	struct flow *flow = flow_at(&words, f->owner, places);

	if (direction == FROM_DEVICE) {
		if (flow)
			flow_seen(flow, now);
		else
			flow_keep(words.remote[0], words.remote[1], words.rest, f->owner, now);
		return 1;
	}
	if (!flow)
		flow = flow_at(&words, f->owner, places >> 32);
	if (!flow || !flow_alive(flow, words.rest, now))
		return 0;
	flow_seen(flow, now);
	return 1;
}

/* The decision of a packet whose bucket is known, 0: it may not pass here; if it may, it is counted. */
INLINE u32 fast_decide(const struct fast *f, u32 bucket, u32 protocol, u32 direction)
{
	u32 decision = decision_of(bucket, fast_service(protocol, fast_remote_port(f, direction)));
	u32 verdict = decision & VERDICT_MASK;
	struct processor *cpu = this_cpu();

	if (!cpu)
		return 0;
#if MFA
	if (verdict == VERDICT_MFA) {
		if (session(f->owner, direction, decision, cpu) != REASON_PASS)
			return 0;
	} else
#endif
	if (verdict != VERDICT_ALLOW)
		return 0;
	if (protocol == PROTOCOL_UDP && !fast_flow(f, direction, cpu))
		return 0;
	count(&cpu->reasons[(direction * REASON_SLOTS + REASON_PASS) * 2], f->length);
	count_rule(decision >> RULE_SHIFT, f->length);
	return decision;
}

#if V4

/* Whether an IPv4 packet of `total` bytes is a common one that may pass; if so, it is counted. */
INLINE int fast4(u8 *data, u8 *end, u32 total, u32 direction, struct fast_outcome *o)
{
	struct ipv4_header *ip = (void *)data;
	struct address device, remote;
	struct fast f;
	u32 class, bucket, network_order, destination_class;

	if (data + sizeof(*ip) + FAST_TRANSPORT > end || ip->version_length != 0x45 ||
	    ip->fragment & from_network16(IPV4_MORE | IPV4_OFFSET))
		return 0;
	f.length = from_network16(ip->length);
	if (f.length > total || f.length < sizeof(*ip) + FAST_TRANSPORT)
		return 0;
	f.ports = (void *)(ip + 1);
	if (!fast_transport(f.ports, ip->protocol, direction))
		return 0;
	network_order = direction == FROM_DEVICE ? READ_ONCE(ip->destination) : READ_ONCE(ip->source);
	remote = mapped(network_order);
	f.remote[0] = 0;
	f.remote[1] = from_network64(remote.low);
	destination_class = destination4(remote.low & 0xffffffff);
	device = mapped(direction == FROM_DEVICE ? ip->source : ip->destination);
	f.owner = owner4(device.low);
	class = class_of(f.owner >> 32);
	if (!(u32)f.owner || class == NOBODY_CLASS)
		return 0;
	bucket = bucket_of(class, destination_class);
	if (!bucket)
		return 0;
	*o = (struct fast_outcome){ .slot = f.owner, .bucket = bucket };
	o->decision = fast_decide(&f, bucket, READ_ONCE(ip->protocol), direction);
	return o->decision != 0;
}
#endif
#if V6

/* The same of an IPv6 packet. */
INLINE int fast6(u8 *data, u8 *end, u32 total, u32 direction, struct fast_outcome *o)
{
	struct ipv6_header *ip = (void *)data;
	struct address device, remote;
	struct fast f;
	u32 class, bucket, destination_class;

	if (data + sizeof(*ip) + FAST_TRANSPORT > end || ip->version_class >> 4 != 6)
		return 0;
	f.length = sizeof(*ip) + from_network16(ip->length);
	if (f.length > total || f.length < sizeof(*ip) + FAST_TRANSPORT)
		return 0;
	f.ports = (void *)(ip + 1);
	if (!fast_transport(f.ports, ip->next, direction))
		return 0;
	f.remote[0] = READ_ONCE(*(direction == FROM_DEVICE ? &ip->destination[0] : &ip->source[0]));
	f.remote[1] = READ_ONCE(*(direction == FROM_DEVICE ? &ip->destination[1] : &ip->source[1]));
	remote = wide(f.remote);
	destination_class = destination6(remote.high, remote.low);
	device = wide(direction == FROM_DEVICE ? ip->source : ip->destination);
	f.owner = owner6(device.high, device.low);
	class = class_of(f.owner >> 32);
	if (!(u32)f.owner || class == NOBODY_CLASS)
		return 0;
	bucket = bucket_of(class, destination_class);
	if (!bucket)
		return 0;
	*o = (struct fast_outcome){ .slot = f.owner, .bucket = bucket };
	o->decision = fast_decide(&f, bucket, READ_ONCE(ip->next), direction);
	return o->decision != 0;
}
#endif
