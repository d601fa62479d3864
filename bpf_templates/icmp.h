/* ICMP and ICMPv6: queries, answers, and errors with the packet that they are about. */

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

INLINE u32 icmp_protocol(u32 version)
{
	return version == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
}

INLINE void set_icmp(struct tuple *t, u32 role, u16 identifier)
{
	if (role == ICMP_QUERY) {
		t->source_port = identifier;
		t->kind = OPENS_FLOW;
	} else if (role == ICMP_ANSWER) {
		t->destination_port = identifier;
		t->kind = REPLIES_BY_FLOW;
	}
}

/* The packet inside an ICMP error, as far as it got: at least 8 bytes behind its IP header (RFC 792).
 * One that cannot be told is left without a kind, and the error then belongs to no flow. */
INLINE int parse_inner_transport(const struct cursor *c, u32 offset, u32 version, struct tuple *t)
{
	int status;
	struct ports_header *ports;
	struct icmp_header *icmp;

	if (t->protocol == icmp_protocol(version)) {
		status = HEADER(c, offset, sizeof(*icmp), icmp);
		if (status != PARSED)
			return status;
		set_icmp(t, icmp_role(t->protocol, icmp->type), from_network16(icmp->identifier));
		if (t->kind)
			t->kind = REPLIES_BY_FLOW;
	} else if (t->protocol == PROTOCOL_TCP || t->protocol == PROTOCOL_UDP ||
		   t->protocol == PROTOCOL_SCTP) {
		status = HEADER(c, offset, sizeof(*ports), ports);
		if (status != PARSED)
			return status;
		t->source_port = from_network16(ports->source_port);
		t->destination_port = from_network16(ports->destination_port);
		t->kind = t->protocol == PROTOCOL_TCP ? REPLIES_BY_POLICY : REPLIES_BY_FLOW;
	} else {
		t->kind = REPLIES_BY_FLOW;
	}
	return PARSED;
}

INLINE int parse_icmp(const struct cursor *c, u32 offset, struct packet *p)
{
	int status;
	u32 role;
	struct icmp_header *icmp;

	status = HEADER(c, offset, sizeof(*icmp), icmp);
	if (status != PARSED)
		return status;
	p->icmp_type = icmp->type;
	role = icmp_role(p->outer.protocol, icmp->type);
	set_icmp(&p->outer, role, from_network16(icmp->identifier));
	if (role == ICMP_ERROR)
		p->outer.kind = IS_ERROR;
	return PARSED;
}

/* What an error's packet inside makes of it: about something unreadable, it is a message like others. */
INLINE int inner_status(struct packet *p, int status)
{
	if (status == SHORT)
		return SHORT;
	if (status != PARSED)
		p->outer.kind = 0;
	return PARSED;
}
