/* Datagram flows, by which replies are known. */

enum {
	FLOW_REFRESH = 1000000000ULL,
	FLOW_LIFETIME = 180000000000ULL,
	QUERY_LIFETIME = 30000000000ULL,
};

/* A packet as its device sees it, whichever way it goes. */
struct view {
	struct address remote;
	u32 protocol;
	u32 device_port;
	u32 remote_port;
	u32 kind;
};

INLINE void flow_key_of(struct flow_key *key, const struct view *v, u32 slot, u32 opener)
{
	key->slot = slot;
	key->device_port = v->device_port;
	key->remote_port = v->remote_port;
	to_key(key->remote, &v->remote);
	key->protocol = v->protocol;
	key->opener = opener;
	key->reserved = 0;
	key->reserved2 = 0;
}

INLINE u64 flow_lifetime(u32 protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6 ? QUERY_LIFETIME : FLOW_LIFETIME;
}

INLINE void flow_seen(struct flow *flow, u64 now)
{
	if ((s64)(now - READ_ONCE(flow->last_seen)) > (s64)FLOW_REFRESH)
		WRITE_ONCE(flow->last_seen, now);
}

/* The flow that a reply belongs to, if it is alive. */
INLINE struct flow *flow_of_reply(const struct flow_key *key, u64 now)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow || (s64)(now - READ_ONCE(flow->last_seen)) > (s64)flow_lifetime(key->protocol))
		return NULL;
	return flow;
}

INLINE void flow_open(const struct flow_key *key)
{
	struct flow fresh = { .last_seen = bpf_ktime_get_boot_ns() };
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (flow)
		flow_seen(flow, fresh.last_seen);
	else
		bpf_map_update_elem(&flows, key, &fresh, BPF_ANY);
}
