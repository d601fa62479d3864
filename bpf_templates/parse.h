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

/* Any packet, from its link header on. */
INLINE int parse_slow(u8 *data, u8 *end, u32 total, struct slow_packet *slow)
{
	struct cursor c = { .data = data, .end = end, .total = total };
	int status = strip_link(&c);
	u8 *first;

	if (status != PARSED)
		return status;
	status = HEADER(&c, 0, 1, first);
	if (status != PARSED)
		return status;
	if (*first >> 4 == 4)
#if V4
		return parse4(&c, &slow->packet, &slow->inner);
#else
		return NO_RULES;
#endif
	if (*first >> 4 == 6)
#if V6
		return parse6(&c, &slow->packet, &slow->inner);
#else
		return NO_RULES;
#endif
	return MALFORMED;
}
