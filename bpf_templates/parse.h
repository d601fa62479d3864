/* From bytes to a packet. */

enum {
	ETHERNET_HEADER = 14,
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_IPV6 = 0x86dd,
};

struct ethernet_header {
	u8 destination[6];
	u8 source[6];
	u16 type;
};

/* Step over the Ethernet header, of a device that has them. */
INLINE int strip_link(struct cursor *c)
{
	int status;
	struct ethernet_header *link;
	u16 type;
	u8 *first;

	if (!config.link_header)
		return PARSED;
	status = HEADER(c, 0, ETHERNET_HEADER, link);
	if (status != PARSED)
		return status;
	type = from_network16(link->type);
	if (type == ETHERTYPE_ARP)
		return LINK_LOCAL;
	c->data += ETHERNET_HEADER;
	c->total -= ETHERNET_HEADER;
	status = HEADER(c, 0, 1, first);
	if (status != PARSED)
		return status;
	return type == (*first >> 4 == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6) ? PARSED : MALFORMED;
}

#if IP
/* The packet inside an ICMP error. */
INLINE int parse_inner(const struct cursor *c, struct slow_packet *slow)
{
	u32 version = READ_ONCE(slow->packet.version);
	int status = MALFORMED;

	slow->offset = position(slow) + sizeof(struct icmp_header);
#if V4
	if (version == 4)
		status = parse_inner4(c, slow);
#endif
#if V6
	if (version == 6)
		status = parse_inner6(c, slow);
#endif
	return status == PARSED ? parse_transport(c, slow, &slow->inner, 1) : status;
}

/* What is behind the headers of IP. */
INLINE int parse_payload(const struct cursor *c, struct slow_packet *slow)
{
	struct packet *p = &slow->packet;
	int status;

	if (READ_ONCE(p->fragment) == LATER_FRAGMENT)
		return PARSED;
	status = parse_transport(c, slow, &p->outer, 0);
	if (status != PARSED || READ_ONCE(p->outer.kind) != IS_ERROR)
		return status;
	status = parse_inner(c, slow);
	if (status == SHORT)
		return SHORT;
	/* About something unreadable, it is a message like others. */
	if (status != PARSED)
		p->outer.kind = 0;
	/* What opens a flow is known by it. */
	if (slow->inner.kind & OPENS_FLOW)
		slow->inner.kind = REPLIES_BY_FLOW;
	return PARSED;
}
#endif

/* Any packet, from its link header on. */
INLINE int parse_slow(u8 *data, u8 *end, u32 total, struct slow_packet *slow)
{
	struct cursor c = { .data = data, .end = end, .total = total };
	int status = strip_link(&c);
	u32 version;
	u8 *first;

	if (status != PARSED)
		return status;
	status = HEADER(&c, 0, 1, first);
	if (status != PARSED)
		return status;
	version = *first >> 4;
	if (version != 4 && version != 6)
		return MALFORMED;
	status = NO_RULES;
	slow->offset = 0;
#if V4
	if (version == 4)
		status = parse4(&c, slow);
#endif
#if V6
	if (version == 6)
		status = parse6(&c, slow);
#endif
#if IP
	if (status == PARSED)
		status = parse_payload(&c, slow);
#endif
	return status;
}
