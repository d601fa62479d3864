/* ICMP and ICMPv6: queries, answers and errors. */

struct icmp_header {
	u8 type;
	u8 code;
	u16 checksum;
	u16 identifier;
	u16 sequence;
};

enum { ICMP_ANSWER, ICMP_QUERY, ICMP_ERROR, ICMP_OTHER };

/* Queries and answers are echo and timestamp (RFC 792), echo (RFC 4443 section 4); errors are those
 * that carry the packet they are about. Redirects are none: they would change the sender's routes. */
INLINE u32 icmp_role(u32 protocol, u32 type)
{
	if (protocol == PROTOCOL_ICMP) {
		if (type == 8 || type == 13)
			return ICMP_QUERY;
		if (type == 0 || type == 14)
			return ICMP_ANSWER;
		return type == 3 || type == 11 || type == 12 ? ICMP_ERROR : ICMP_OTHER;
	}
	if (type == 128)
		return ICMP_QUERY;
	if (type == 129)
		return ICMP_ANSWER;
	return type >= 1 && type <= 4 ? ICMP_ERROR : ICMP_OTHER;
}

INLINE void set_icmp(struct tuple *t, u32 role, u16 identifier)
{
	if (role == ICMP_QUERY) {
		t->source_port = identifier;
		t->kind = OPENS_FLOW;
	} else if (role == ICMP_ANSWER) {
		t->destination_port = identifier;
		t->kind = REPLIES_BY_FLOW;
	} else if (role == ICMP_ERROR) {
		t->kind = IS_ERROR;
	}
}
