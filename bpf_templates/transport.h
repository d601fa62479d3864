/* Transport headers: ports, and how a packet may relate to others. */

struct tcp_header {
	u16 source_port;
	u16 destination_port;
	u32 sequence;
	u32 acknowledgement;
	u8 data_offset;
	u8 flags;
	u16 window;
	u16 checksum;
	u16 urgent;
};

struct ports_header {
	u16 source_port;
	u16 destination_port;
	u32 rest;
};

enum {
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* Bytes that an ICMP error has at least of the packet it is about, behind that one's IP header (RFC 792). */
enum { QUOTED = 8 };

/* A later fragment that starts inside a TCP header could rewrite the flags and ports that the first
 * was judged by (RFC 1858, RFC 3128). `offset` in bytes. */
INLINE int rewrites_header(u32 protocol, u32 offset)
{
	return protocol == PROTOCOL_TCP && offset < sizeof(struct tcp_header);
}

#if IP
/* Bytes that the header has to have, in the packet inside an ICMP error if `inner`; 0: it does not matter. */
COLD u32 transport_size(u32 protocol, u32 icmp, u32 inner)
{
	if (protocol == PROTOCOL_TCP)
		return inner ? QUOTED : sizeof(struct tcp_header);
	if (protocol == PROTOCOL_SCTP)
		return inner ? QUOTED : 12;
	return protocol == PROTOCOL_UDP || protocol == icmp ? 8 : 0;
}

/* What a packet's transport header says of it: its first eight bytes, and TCP's flags. */
COLD int take_transport(struct tuple *t, u32 icmp, u64 header, u32 flags)
{
	const struct ports_header *ports = (const void *)&header;
	const struct icmp_header *message = (const void *)&header;

	if (!t)
		return MALFORMED;
	if (t->protocol == icmp) {
		t->icmp_type = message->type;
		set_icmp(t, icmp_role(icmp, message->type), from_network16(message->identifier));
		return PARSED;
	}
	t->source_port = from_network16(ports->source_port);
	t->destination_port = from_network16(ports->destination_port);
	if (t->protocol != PROTOCOL_TCP)
		t->kind = OPENS_FLOW | REPLIES_BY_FLOW;
	/* An opening segment, or one that no connection would send, is never a reply. */
	else if ((flags & (TCP_SYN | TCP_ACK)) != TCP_SYN && (flags & (TCP_ACK | TCP_RST)))
		t->kind = REPLIES_BY_POLICY;
	return PARSED;
}

/* Read the transport header of the packet, or of the one inside an ICMP error (`inner`), into `t`. */
INLINE int parse_transport(const struct cursor *c, const struct slow_packet *slow, struct tuple *t, int inner)
{
	u32 offset = position(slow);
	u32 size = transport_size(READ_ONCE(t->protocol), READ_ONCE(slow->icmp), inner);
	u32 flags = TCP_ACK;	/* where there are none to be read */
	u64 header = 0;
	u8 *at = c->data + offset;
	struct tcp_header *tcp = (void *)at;

	if (is_behind(c, offset + size))
		return MALFORMED;
	if (size) {
		if (at + sizeof(header) > c->end)
			return SHORT;
		header = *(u64 *)at;
		if (size == sizeof(*tcp)) {
			if (at + sizeof(*tcp) > c->end)
				return SHORT;
			if (tcp->data_offset >> 4 < sizeof(*tcp) / 4)
				return MALFORMED;
			flags = tcp->flags;
		}
	}
	return take_transport(t, slow->icmp, header, flags);
}
#endif
