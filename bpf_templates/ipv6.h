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

/* Step over the next extension header, of the type in the packet's protocol, which becomes that of what
 * follows. `header`: its first eight bytes. */
COLD int take_extension(struct slow_packet *slow, u64 header)
{
	const struct ipv6_extension *extension = (const void *)&header;
	const struct ipv6_fragment *fragment = (const void *)&header;
	struct packet *p;
	u32 at = 0;
	u32 size = 8;

	if (!slow)
		return MALFORMED;
	p = &slow->packet;
	if (p->outer.protocol == IPV6_FRAGMENT) {
		/* Twice fragmented: nothing sends that. */
		if (p->fragment)
			return MALFORMED;
		at = from_network16(fragment->offset);
		p->identification = fragment->identification;
		/* An atomic fragment is a whole packet (RFC 6946). */
		if (at & IPV6_MORE)
			p->fragment = FIRST_FRAGMENT;
		at &= IPV6_OFFSET;
		if (at)
			p->fragment = LATER_FRAGMENT;
	} else {
		/* The destination is not the last one while segments are left. */
		if (p->outer.protocol == IPV6_ROUTING && extension->segments_left)
			return MALFORMED;
		size += extension->length * 8;
	}
	p->outer.protocol = extension->next;
	if (at)
		return rewrites_header(extension->next, at) ? MALFORMED : PARSED;
	slow->offset += size;
	if (slow->offset > sizeof(struct ipv6_header) + MAX_EXTENSION_BYTES)
		return MALFORMED;
	return is_extension(extension->next) ? UNFINISHED : PARSED;
}

/* Step over the extension headers. */
INLINE int parse_extensions(const struct cursor *c, struct slow_packet *slow)
{
	int status = is_extension(slow->packet.outer.protocol) ? UNFINISHED : PARSED;
	u32 offset;
	u64 *extension;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < MAX_EXTENSIONS && status == UNFINISHED; i++) {
		offset = position(slow);
		status = HEADER(c, offset, sizeof(*extension), extension);
		if (status != PARSED)
			return status;
		status = take_extension(slow, *extension);
	}
	return status == UNFINISHED ? MALFORMED : status;
}

/* Neighbour discovery (RFC 4861 section 7.1): the hop limit shows that it comes from this link. */
INLINE int is_neighbour_discovery(const struct ipv6_header *ip, const struct icmp_header *icmp)
{
	return ip->hop_limit == 255 && icmp->code == 0 &&
	       (icmp->type == NEIGHBOUR_SOLICITATION || icmp->type == NEIGHBOUR_ADVERTISEMENT);
}

/* A header with anything that IPv6 allows. */
INLINE int parse6(struct cursor *c, struct slow_packet *slow)
{
	int status;
	u32 length;
	u32 offset = position(slow);
	struct packet *p = &slow->packet;
	struct ipv6_header *ip;
	struct icmp_header *icmp;

	status = HEADER(c, offset, sizeof(*ip), ip);
	if (status != PARSED)
		return status;
	length = sizeof(*ip) + from_network16(ip->length);
	if (length > c->total)
		return MALFORMED;
	c->total = length;
	p->version = 6;
	slow->icmp = PROTOCOL_ICMPV6;
	p->length = length;
	p->outer.source = wide(ip->source);
	p->outer.destination = wide(ip->destination);
	slow->offset = sizeof(*ip);
	if (config.link_header && ip->next == PROTOCOL_ICMPV6) {
		offset = position(slow);
		status = HEADER(c, offset, sizeof(*icmp), icmp);
		if (status != PARSED)
			return status;
		if (is_neighbour_discovery(ip, icmp))
			return LINK_LOCAL;
	}
	p->outer.protocol = ip->next;
	return parse_extensions(c, slow);
}

/* The header of the packet inside an ICMPv6 error. */
INLINE int parse_inner6(const struct cursor *c, struct slow_packet *slow)
{
	int status;
	u32 offset = position(slow);
	struct tuple *t = &slow->inner;
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
	slow->offset = offset;
	return PARSED;
}
