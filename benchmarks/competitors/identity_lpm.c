/* (c) A destination's address to its identity by one LPM trie, then for each endpoint an LPM policy map on
 * (identity, protocol, port), as container networks do.
 *
 * Endpoints with the same policy share a policy map, which is found by index. The key's protocol and port
 * come last, so that its prefix says whether it is about all ports, a block of them, or all protocols. */

#include "common.h"

struct policy_key {
	u32 length;
	u32 identity;	/* network order, as all of an LPM key */
	u8 protocol;
	u8 port_high;
	u8 port_low;
	u8 reserved;
};

enum { POLICY_BITS = 32 + 8 + 16 };

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	MAP_FIELD(map_flags, 1);
	struct key4 *key;
	u32 *value;
} identities4 SEC(".maps");

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	MAP_FIELD(map_flags, 1);
	struct key6 *key;
	u32 *value;
} identities6 SEC(".maps");

/* An array of maps, which the loader makes of it. */
struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	u32 *value;
} policies SEC(".maps");

INLINE u32 verdict_of(const struct owner *owner, const struct request *r)
{
	struct policy_key key = { .length = POLICY_BITS };
	u32 class = owner->class;
	u32 *identity, *verdict;
	void *policy;

	if (r->version == 4) {
		struct key4 at = KEY4(r);

		identity = bpf_map_lookup_elem(&identities4, &at);
	} else {
		struct key6 at = KEY6(r);

		identity = bpf_map_lookup_elem(&identities6, &at);
	}
	policy = bpf_map_lookup_elem(&policies, &class);
	if (!identity || !policy)
		return 0;
	key.identity = from_network32(*identity);
	key.protocol = r->protocol;
	key.port_high = r->port >> 8;
	key.port_low = r->port;
	verdict = bpf_map_lookup_elem(policy, &key);
	return verdict ? *verdict : 0;
}
