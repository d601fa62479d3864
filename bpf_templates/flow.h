/* Datagram flows, by which replies are known.
 *
 * A device has a fixed number of places for flows, and a flow has two of them that it may be at. So a
 * device that opens many forgets its own and no other's, and a flow is found by its place and known by its
 * addresses and ports. */

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

/* A flow as it is compared: the fields of struct flow behind the time. */
struct flow_words {
	u64 remote[2];
	u64 rest;
};

INLINE u64 flow_rest(u64 opener, u64 protocol, u32 remote_port, u32 device_port)
{
	return opener << 40 | protocol << 32 | remote_port << 16 | device_port;
}

INLINE void flow_words_of(struct flow_words *words, const struct view *v, u32 opener)
{
	to_key((u8 *)words->remote, &v->remote);
	words->rest = flow_rest(opener, v->protocol, v->remote_port, v->device_port);
}

/* One of the device's places in the low bits, the other in those from 32 on, and another than the first. */
INLINE u64 flow_places(const struct flow_words *words)
{
	u64 mixed = (words->remote[0] ^ words->remote[1] >> 7) * 0x9e3779b97f4a7c15ULL ^ words->remote[1];
	u64 first;

	mixed = (mixed ^ mixed >> 32 ^ words->rest) * 0xd6e8feb86659fd93ULL;
	first = mixed >> 48 & (FLOWS_A_DEVICE - 1);
	return (first ^ ((mixed >> 32 & (FLOWS_A_DEVICE - 1)) | 1)) << 32 | first;
}

INLINE u64 flow_lifetime(u32 protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6 ? QUERY_LIFETIME : FLOW_LIFETIME;
}

INLINE int flow_is(const struct flow *flow, const struct flow_words *words)
{
	const u64 *stored = (const u64 *)flow;

	return stored[1] == words->remote[0] && stored[2] == words->remote[1] && stored[3] == words->rest;
}

INLINE struct flow *flow_at(const struct flow_words *words, u32 slot, u32 place)
{
	struct flow_key key = { .slot = slot, .place = place };
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);

	return flow && flow_is(flow, words) ? flow : NULL;
}

INLINE void flow_seen(struct flow *flow, u64 now)
{
	if ((s64)(now - READ_ONCE(flow->last_seen)) > (s64)FLOW_REFRESH)
		WRITE_ONCE(flow->last_seen, now);
}

INLINE int flow_alive(const struct flow *flow, u64 rest, u64 now)
{
	return (s64)(now - READ_ONCE(flow->last_seen)) <= (s64)flow_lifetime(rest >> 32 & 255);
}

/* Whether a reply's flow is known and alive. All are numbers, so that callers need no memory for them. */
COLD int flow_known(u64 remote_high, u64 remote_low, u64 rest, u32 slot, u64 now)
{
	struct flow_words words = { .remote = { remote_high, remote_low }, .rest = rest };
	u64 places = flow_places(&words);
	struct flow *flow = flow_at(&words, slot, places);

	if (!flow)
		flow = flow_at(&words, slot, places >> 32);
	return flow && flow_alive(flow, rest, now);
}

/* Note that a flow is in use. One that is not known yet takes the place that is free, or else the one whose
 * flow was quiet for longer. */
COLD int flow_keep(u64 remote_high, u64 remote_low, u64 rest, u32 slot, u64 now)
{
	struct flow_words words = { .remote = { remote_high, remote_low }, .rest = rest };
	struct flow_key key = { .slot = slot };
	struct flow fresh = { .last_seen = now };
	struct flow *first, *second;
	u64 places = flow_places(&words);

	key.place = places >> 32;
	second = bpf_map_lookup_elem(&flows, &key);
	if (second && flow_is(second, &words)) {
		flow_seen(second, now);
		return 0;
	}
	key.place = places;
	first = bpf_map_lookup_elem(&flows, &key);
	if (first && flow_is(first, &words)) {
		flow_seen(first, now);
		return 0;
	}
	if (first && (!second || (s64)(first->last_seen - second->last_seen) > 0))
		key.place = places >> 32;
	((u64 *)&fresh)[1] = remote_high;
	((u64 *)&fresh)[2] = remote_low;
	((u64 *)&fresh)[3] = rest;
	bpf_map_update_elem(&flows, &key, &fresh, BPF_ANY);
	return 0;
}
