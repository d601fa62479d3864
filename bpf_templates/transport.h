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

INLINE int parse_tcp(const struct cursor *c, u32 offset, struct tuple *t)
{
	int status;
	struct tcp_header *tcp;

	status = HEADER(c, offset, sizeof(*tcp), tcp);
	if (status != PARSED)
		return status;
	if ((tcp->data_offset >> 4) * 4 < sizeof(*tcp))
		return MALFORMED;
	t->source_port = from_network16(tcp->source_port);
	t->destination_port = from_network16(tcp->destination_port);
	/* An opening segment, or one that no connection would send, is never a reply. */
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN && (tcp->flags & (TCP_ACK | TCP_RST)))
		t->kind = REPLIES_BY_POLICY;
	return PARSED;
}

INLINE int parse_ports(const struct cursor *c, u32 offset, u32 size, struct tuple *t)
{
	int status;
	struct ports_header *ports;

	status = HEADER(c, offset, size, ports);
	if (status != PARSED)
		return status;
	t->source_port = from_network16(ports->source_port);
	t->destination_port = from_network16(ports->destination_port);
	t->kind = OPENS_FLOW | REPLIES_BY_FLOW;
	return PARSED;
}

/* A later fragment that starts inside a TCP header could rewrite the flags and ports that the first
 * was judged by (RFC 1858, RFC 3128). `offset` in bytes. */
INLINE int rewrites_header(u32 protocol, u32 offset)
{
	return protocol == PROTOCOL_TCP && offset < sizeof(struct tcp_header);
}

INLINE int parse_transport(const struct cursor *c, u32 offset, struct tuple *t)
{
	if (t->protocol == PROTOCOL_TCP)
		return parse_tcp(c, offset, t);
	if (t->protocol == PROTOCOL_UDP)
		return parse_ports(c, offset, 8, t);
	if (t->protocol == PROTOCOL_SCTP)
		return parse_ports(c, offset, 12, t);
	t->kind = OPENS_FLOW | REPLIES_BY_FLOW;
	return PARSED;
}
