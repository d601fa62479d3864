/* IPv6: header, extension headers, fragments. */

struct ipv6_header {
	u8 version_class;
	u8 class_flow;
	u16 flow;
	u16 length;
	u8 next;
	u8 hop_limit;
	u64 source[2];
	u64 destination[2];
};

struct ipv6_extension {
	u8 next;
	u8 length;
	u8 routing_type;
	u8 segments_left;
	u32 rest;
};

struct ipv6_fragment {
	u8 next;
	u8 reserved;
	u16 offset;
	u32 identification;
};

enum {
	IPV6_HOP_BY_HOP = 0,
	IPV6_ROUTING = 43,
	IPV6_FRAGMENT = 44,
	IPV6_DESTINATION = 60,
	IPV6_MORE = 0x0001,
	IPV6_OFFSET = 0xfff8,
	MAX_EXTENSIONS = 6,
	MAX_EXTENSION_BYTES = 256,
	NEIGHBOUR_SOLICITATION = 135,
	NEIGHBOUR_ADVERTISEMENT = 136,
};

INLINE struct address wide(const u64 *network_order)
{
	return (struct address){ .high = from_network64(network_order[0]),
				 .low = from_network64(network_order[1]) };
}

INLINE int is_extension(u32 next)
{
	return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_FRAGMENT || next == IPV6_DESTINATION;
}

/* Where a chain of extension headers ends. */
struct chain {
	u32 next;
	u32 offset;
	u32 fragment;
	u32 identification;
};

/* Walk the extension headers that start at `chain`. */
INLINE int walk_extensions(const struct cursor *c, struct chain *chain)
{
	u32 next = chain->next;
	u32 offset = sizeof(struct ipv6_header);
	struct ipv6_extension *extension;
	int status;
	u32 at;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_EXTENSIONS && is_extension(next); i++) {
		status = HEADER(c, offset, sizeof(*extension), extension);
		if (status != PARSED)
			return status;
		if (next == IPV6_FRAGMENT) {
			struct ipv6_fragment *fragment = (void *)extension;

			/* Twice fragmented: nothing sends that. */
			if (chain->fragment)
				return MALFORMED;
			at = from_network16(fragment->offset);
			next = fragment->next;
			offset += sizeof(*fragment);
			chain->identification = fragment->identification;
			if (at & IPV6_OFFSET) {
				chain->fragment = LATER_FRAGMENT;
				chain->next = next;
				return rewrites_header(next, at & IPV6_OFFSET) ? MALFORMED : PARSED;
			}
			/* An atomic fragment is a whole packet (RFC 6946). */
			if (at & IPV6_MORE)
				chain->fragment = FIRST_FRAGMENT;
		} else {
			/* The destination is not the last one while segments are left. */
			if (next == IPV6_ROUTING && extension->segments_left)
				return MALFORMED;
			next = extension->next;
			offset += (extension->length + 1) * 8;
		}
		if (offset > sizeof(struct ipv6_header) + MAX_EXTENSION_BYTES)
			return MALFORMED;
	}
	if (is_extension(next))
		return MALFORMED;
	chain->next = next;
	chain->offset = offset;
	return PARSED;
}

/* The packet inside an ICMPv6 error. */
INLINE int parse_inner6(const struct cursor *c, u32 offset, struct tuple *t)
{
	int status;
	struct ipv6_header *ip;
	struct ipv6_fragment *fragment;

	status = HEADER(c, offset, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	if (ip->version_class >> 4 != 6)
		return MALFORMED;
	t->source = wide(ip->source);
	t->destination = wide(ip->destination);
	t->protocol = ip->next;
	offset += sizeof(*ip);
	if (t->protocol == IPV6_FRAGMENT) {
		status = HEADER(c, offset, sizeof(*fragment), fragment);
		if (status != PARSED)
			return status;
		if (from_network16(fragment->offset) & IPV6_OFFSET)
			return MALFORMED;
		t->protocol = fragment->next;
		offset += sizeof(*fragment);
	}
	return parse_inner_transport(c, offset, 6, t);
}

/* Neighbour discovery (RFC 4861 section 7.1): the hop limit shows that it comes from this link. */
INLINE int is_neighbour_discovery(const struct ipv6_header *ip, const struct icmp_header *icmp)
{
	return ip->hop_limit == 255 && icmp->code == 0 &&
	       (icmp->type == NEIGHBOUR_SOLICITATION || icmp->type == NEIGHBOUR_ADVERTISEMENT);
}

/* A packet with anything that IPv6 allows. */
INLINE int parse6(struct cursor *c, struct packet *p, struct tuple *inner)
{
	int status;
	u32 length;
	struct chain chain = { .offset = sizeof(struct ipv6_header) };
	struct ipv6_header *ip;
	struct icmp_header *icmp;

	status = HEADER(c, 0, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	length = sizeof(*ip) + from_network16(ip->length);
	if (length > c->total)
		return MALFORMED;
	c->total = length;
	p->version = 6;
	p->length = length;
	p->outer.source = wide(ip->source);
	p->outer.destination = wide(ip->destination);
	chain.next = ip->next;
	if (is_extension(ip->next)) {
		status = walk_extensions(c, &chain);
		if (status != PARSED)
			return status;
	}
	p->outer.protocol = chain.next;
	p->fragment = chain.fragment;
	p->identification = chain.identification;
	if (chain.fragment == LATER_FRAGMENT)
		return PARSED;
	if (chain.next != PROTOCOL_ICMPV6)
		return parse_transport(c, chain.offset, &p->outer);
	if (config.link_header && ip->next == PROTOCOL_ICMPV6) {
		status = HEADER(c, sizeof(*ip), sizeof(*icmp), icmp);
		if (status != PARSED)
			return status;
		if (is_neighbour_discovery(ip, icmp))
			return LINK_LOCAL;
	}
	status = parse_icmp(c, chain.offset, p);
	if (status == PARSED && p->outer.kind == IS_ERROR)
		status = inner_status(p, parse_inner6(c, chain.offset + sizeof(*icmp), inner));
	return status;
}
