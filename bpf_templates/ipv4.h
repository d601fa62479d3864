/* IPv4: header, options, fragments. */

struct ipv4_header {
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

enum {
	IPV4_MORE = 0x2000,
	IPV4_OFFSET = 0x1fff,
	IPV4_MAX_OPTIONS = 40,
	MAX_OPTIONS = 10,
	IPV4_OPTION_END = 0,
	IPV4_OPTION_NOP = 1,
	IPV4_OPTION_LOOSE_ROUTE = 131,
	IPV4_OPTION_STRICT_ROUTE = 137,
};

INLINE struct address mapped(u32 network_order)
{
	return (struct address){ .high = 0, .low = MAPPED_IPV4 | from_network32(network_order) };
}

/* Whether IPv4 options between `option` and `last` are fit to pass. A source route is not: it names
 * destinations that the policy would not be asked about (RFC 7126 section 4.3). */
INLINE int options_pass(const u8 *option, const u8 *end, u32 size)
{
	u32 offset = 0;
	u32 step;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_OPTIONS; i++) {
		const u8 *at = option + offset;

		if (offset >= size)
			return 1;
		if (at + 1 > end)
			return 0;
		if (at[0] == IPV4_OPTION_END)
			return 1;
		step = 1;
		if (at[0] != IPV4_OPTION_NOP) {
			if (at + 2 > end || at[0] == IPV4_OPTION_LOOSE_ROUTE || at[0] == IPV4_OPTION_STRICT_ROUTE)
				return 0;
			step = at[1];
			if (step < 2 || step > IPV4_MAX_OPTIONS)
				return 0;
		}
		offset += step;
		if (offset > size)
			return 0;
	}
	return offset == size;
}

/* The packet inside an ICMP error. */
INLINE int parse_inner4(const struct cursor *c, u32 offset, struct tuple *t)
{
	int status;
	u32 size;
	struct ipv4_header *ip;

	status = HEADER(c, offset, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	size = (ip->version_length & 15) * 4;
	if (ip->version_length >> 4 != 4 || size < sizeof(*ip) || from_network16(ip->fragment) & IPV4_OFFSET)
		return MALFORMED;
	t->source = mapped(ip->source);
	t->destination = mapped(ip->destination);
	t->protocol = ip->protocol;
	return parse_inner_transport(c, offset + size, 4, t);
}

/* A packet with anything that IPv4 allows. */
INLINE int parse4(struct cursor *c, struct packet *p, struct tuple *inner)
{
	int status;
	u32 size, length, fragment, offset;
	struct ipv4_header *ip;

	status = HEADER(c, 0, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	size = (ip->version_length & 15) * 4;
	length = from_network16(ip->length);
	if (size < sizeof(*ip) || length < size || length > c->total)
		return MALFORMED;
	c->total = length;
	p->version = 4;
	p->length = length;
	p->outer.source = mapped(ip->source);
	p->outer.destination = mapped(ip->destination);
	p->outer.protocol = ip->protocol;
	if (size > sizeof(*ip)) {
		status = HEADER(c, 0, size, ip);
		if (status != PARSED)
			return status;
		if (!options_pass(c->data + sizeof(*ip), c->end, size - sizeof(*ip)))
			return MALFORMED;
	}
	fragment = from_network16(ip->fragment);
	if (fragment & (IPV4_MORE | IPV4_OFFSET)) {
		p->identification = ip->identification;
		p->fragment = FIRST_FRAGMENT;
		offset = (fragment & IPV4_OFFSET) * 8;
		if (offset) {
			p->fragment = LATER_FRAGMENT;
			return rewrites_header(p->outer.protocol, offset) ? MALFORMED : PARSED;
		}
	}
	if (p->outer.protocol != PROTOCOL_ICMP)
		return parse_transport(c, size, &p->outer);
	status = parse_icmp(c, size, p);
	if (status == PARSED && p->outer.kind == IS_ERROR)
		status = inner_status(p, parse_inner4(c, size + sizeof(struct icmp_header), inner));
	return status;
}
