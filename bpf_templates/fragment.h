/* Fragments: the later ones are judged by what the first one said. */

enum { FRAGMENT_LIFETIME = 30000000000ULL };	/* as Linux keeps fragments (net.ipv4.ipfrag_time) */

INLINE void fragment_key_of(struct fragment_key *key, const struct packet *p, u32 direction)
{
	to_key(key->source, &p->outer.source);
	to_key(key->destination, &p->outer.destination);
	key->identification = p->identification;
	key->protocol = p->version == 4 ? p->outer.protocol : 0;
	key->direction = direction;
	key->reserved = 0;
}

COLD int fragment_passed(const struct packet *p, u32 direction)
{
	struct fragment_key key;
	struct fragment first = {};

	if (!p)
		return 0;
	first.expires = bpf_ktime_get_boot_ns() + FRAGMENT_LIFETIME;
	first.source_port = p->outer.source_port;
	first.destination_port = p->outer.destination_port;
	first.kind = p->outer.kind;
	first.protocol = p->outer.protocol;
	fragment_key_of(&key, p, direction);
	bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
	return 0;
}

/* Give a later fragment the transport header of its first, so that it is judged as that was. */
COLD int fragment_complete(struct packet *p, u32 direction)
{
	struct fragment_key key;
	struct fragment *first;

	if (!p)
		return 0;
	fragment_key_of(&key, p, direction);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || bpf_ktime_get_boot_ns() >= first->expires) {
		p->outer.kind = UNKNOWN_PORTS;
		if (p->outer.protocol == PROTOCOL_TCP)
			p->outer.kind |= REPLIES_BY_POLICY;
		return 0;
	}
	p->outer.source_port = first->source_port;
	p->outer.destination_port = first->destination_port;
	p->outer.protocol = first->protocol;
	p->outer.kind = first->kind;
	return 0;
}
