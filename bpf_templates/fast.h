/* The fast path: common packets that may pass. It never drops; what it does not let pass is decided by the
 * slow path, from the beginning.
 *
 * Common are TCP and UDP without IP options, extension headers and fragments, from a device by its user's
 * policy, or to it as a reply to such. */

struct fast_packet {
	struct address device;
	struct address remote;
	u32 version;
	u32 length;
	u32 protocol;
	u32 device_port;
	u32 remote_port;
};

/* The transport header at `at`, of the `length` bytes from there on; 0: not a common packet. */
INLINE int fast_transport(u8 *at, u8 *end, u32 length, u32 direction, struct fast_packet *p)
{
	struct ports_header *ports = (void *)at;
	struct tcp_header *tcp = (void *)at;
	u16 source, destination;

	if (p->protocol == PROTOCOL_TCP) {
		if (at + sizeof(*tcp) > end || length < sizeof(*tcp) || tcp->data_offset < 5 << 4)
			return 0;
		/* As in parse_tcp: to a device, a segment passes as a reply, and not every one may be that. */
		if (direction == TO_DEVICE &&
		    ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN || !(tcp->flags & (TCP_ACK | TCP_RST))))
			return 0;
	} else if (p->protocol != PROTOCOL_UDP || at + sizeof(*ports) > end || length < sizeof(*ports)) {
		return 0;
	}
	source = from_network16(ports->source_port);
	destination = from_network16(ports->destination_port);
	p->device_port = direction == FROM_DEVICE ? source : destination;
	p->remote_port = direction == FROM_DEVICE ? destination : source;
	return 1;
}

#if V4
INLINE int fast_parse4(u8 *data, u8 *end, u32 total, u32 direction, struct fast_packet *p)
{
	struct ipv4_header *ip = (void *)data;
	u32 length;

	if (data + sizeof(*ip) > end || ip->version_length != 0x45 ||
	    ip->fragment & from_network16(IPV4_MORE | IPV4_OFFSET))
		return 0;
	length = from_network16(ip->length);
	if (length > total || length < sizeof(*ip))
		return 0;
	p->version = 4;
	p->length = length;
	p->protocol = ip->protocol;
	p->device = mapped(direction == FROM_DEVICE ? ip->source : ip->destination);
	p->remote = mapped(direction == FROM_DEVICE ? ip->destination : ip->source);
	return fast_transport(data + sizeof(*ip), end, length - sizeof(*ip), direction, p);
}
#endif
#if V6

INLINE int fast_parse6(u8 *data, u8 *end, u32 total, u32 direction, struct fast_packet *p)
{
	struct ipv6_header *ip = (void *)data;
	u32 length;

	if (data + sizeof(*ip) > end || ip->version_class >> 4 != 6)
		return 0;
	length = from_network16(ip->length);
	if (length + sizeof(*ip) > total)
		return 0;
	p->version = 6;
	p->length = length + sizeof(*ip);
	p->protocol = ip->next;
	p->device = wide(direction == FROM_DEVICE ? ip->source : ip->destination);
	p->remote = wide(direction == FROM_DEVICE ? ip->destination : ip->source);
	return fast_transport(data + sizeof(*ip), end, length, direction, p);
}
#endif

/* From the link header on. */
INLINE int fast_parse(u8 *data, u8 *end, u32 total, u32 direction, struct fast_packet *p)
{
	struct ethernet_header *link = (void *)data;
	u32 version;

	if (config.link_header) {
		if (data + ETHERNET_HEADER > end)
			return 0;
		version = link->type == from_network16(ETHERTYPE_IPV4) ? 4 :
			  link->type == from_network16(ETHERTYPE_IPV6) ? 6 : 0;
		data += ETHERNET_HEADER;
		total -= ETHERNET_HEADER;
	} else {
		if (data + 1 > end)
			return 0;
		version = *data >> 4;
	}
#if V4
	if (version == 4)
		return fast_parse4(data, end, total, direction, p);
#endif
#if V6
	if (version == 6)
		return fast_parse6(data, end, total, direction, p);
#endif
	return 0;
}

/* An event of a packet that passed, from copies, so that what is copied can stay in registers. */
INLINE void fast_tell(const struct fast_packet *p, u32 slot, u32 bucket, u32 decision, u32 direction)
{
	struct packet packet = {
		.outer = {
			.source = direction == FROM_DEVICE ? p->device : p->remote,
			.destination = direction == FROM_DEVICE ? p->remote : p->device,
			.protocol = p->protocol,
			.source_port = direction == FROM_DEVICE ? p->device_port : p->remote_port,
			.destination_port = direction == FROM_DEVICE ? p->remote_port : p->device_port,
		},
		.version = p->version,
		.length = p->length,
	};
	struct outcome outcome = {
		.slot = slot,
		.bucket = bucket,
		.rule = decision >> VERDICT_BITS,
		.verdict = decision & VERDICT_MASK,
	};

	send_event(&packet, &outcome, direction, REASON_PASS);
}

/* Whether the packet is a common one that may pass; if so, it is counted. */
INLINE int passes_fast(u8 *data, u8 *end, u32 total, u32 direction)
{
	struct fast_packet p;
	struct flow_words words;
	struct processor *cpu;
	struct flow *flow;
	u32 slot, class, bucket, decision, verdict;
	u64 owner;

	if (!fast_parse(data, end, total, direction, &p))
		return 0;
	owner = owner_of(&p.device, p.version);
	slot = owner;
	class = class_of(owner >> 32);
	cpu = this_cpu();
	if (!slot || class == NOBODY_CLASS || !cpu)
		return 0;
	bucket = bucket_of(class, destination(&p.remote, p.version));
	if (!bucket)
		return 0;
	decision = decision_of(bucket, service_of(p.protocol, p.remote_port));
	verdict = decision & VERDICT_MASK;
#if MFA
	if (verdict == VERDICT_MFA) {
		if (session(slot, direction, cpu) != REASON_PASS)
			return 0;
	} else
#endif
	if (verdict != VERDICT_ALLOW)
		return 0;
	if (p.protocol == PROTOCOL_UDP) {
		struct view v = {
			.remote = p.remote,
			.protocol = PROTOCOL_UDP,
			.device_port = p.device_port,
			.remote_port = p.remote_port,
		};

		flow_words_of(&words, &v, FROM_DEVICE);
		if (direction == FROM_DEVICE) {
			flow_open(&words, slot, clock(cpu));
		} else {
			flow = flow_of_reply(&words, slot, PROTOCOL_UDP, clock(cpu));
			if (!flow)
				return 0;
			flow_seen(flow, clock(cpu));
		}
	}
	count(&cpu->reasons[(direction * REASON_SLOTS + REASON_PASS) * 2], p.length);
	count_rule(decision >> VERDICT_BITS, p.length);
	if (config.trace)
		fast_tell(&p, slot, bucket, decision, direction);
	return 1;
}
