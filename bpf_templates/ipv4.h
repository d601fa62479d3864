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

/* Step over the next option of a header of `size` bytes. `bytes` are its first two; of an option in the last
 * byte of the header, the one before and itself. A source route does not pass: it names destinations that the
 * policy would not be asked about (RFC 7126 section 4.3). */
COLD int take_option(struct slow_packet *slow, u32 size, u32 bytes)
{
	u32 rest, kind, step;

	if (!slow)
		return MALFORMED;
	rest = size - slow->offset;
	if (rest == 1)
		bytes >>= 8;
	kind = bytes & 255;
	step = bytes >> 8;
	if (kind == IPV4_OPTION_NOP)
		step = 1;
	else if (kind == IPV4_OPTION_END)
		step = rest;
	else if (kind == IPV4_OPTION_LOOSE_ROUTE || kind == IPV4_OPTION_STRICT_ROUTE || step < 2)
		return MALFORMED;
	if (step > rest)
		return MALFORMED;
	slow->offset += step;
	return step == rest ? PARSED : UNFINISHED;
}

/* Step over the options of a header of `size` bytes. */
INLINE int parse_options(const struct cursor *c, struct slow_packet *slow, u32 size)
{
	int status = size > sizeof(struct ipv4_header) ? UNFINISHED : PARSED;
	u32 offset;
	u8 *at;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_OPTIONS && status == UNFINISHED; i++) {
		offset = position(slow);
		/* One less if it is the last byte, since the packet may end there. Without a branch, since each
		 * would be followed in each round. */
		at = c->data + bounded(offset - (opaque(size - offset - 2) >> 31));
		if (at + 2 > c->end)
			return SHORT;
		status = take_option(slow, size, at[0] | at[1] << 8);
	}
	return status == UNFINISHED ? MALFORMED : status;
}

/* A header with anything that IPv4 allows. */
INLINE int parse4(struct cursor *c, struct slow_packet *slow)
{
	int status;
	u32 size, length, fragment;
	u32 offset = position(slow);
	struct packet *p = &slow->packet;
	struct ipv4_header *ip;

	status = HEADER(c, offset, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	size = (ip->version_length & 15) * 4;
	length = from_network16(ip->length);
	if (size < sizeof(*ip) || length < size || length > c->total)
		return MALFORMED;
	c->total = length;
	p->version = 4;
	slow->icmp = PROTOCOL_ICMP;
	p->length = length;
	p->outer.source = mapped(ip->source);
	p->outer.destination = mapped(ip->destination);
	p->outer.protocol = ip->protocol;
	fragment = from_network16(ip->fragment);
	if (fragment & (IPV4_MORE | IPV4_OFFSET)) {
		p->identification = ip->identification;
		p->fragment = FIRST_FRAGMENT;
		fragment = (fragment & IPV4_OFFSET) * 8;
		if (fragment) {
			p->fragment = LATER_FRAGMENT;
			if (rewrites_header(p->outer.protocol, fragment))
				return MALFORMED;
		}
	}
	slow->offset = sizeof(*ip);
	return parse_options(c, slow, size);
}

/* The header of the packet inside an ICMP error. */
INLINE int parse_inner4(const struct cursor *c, struct slow_packet *slow)
{
	int status;
	u32 size;
	u32 offset = position(slow);
	struct tuple *t = &slow->inner;
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
	slow->offset = offset + size;
	return PARSED;
}
