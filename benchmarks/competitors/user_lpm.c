/* (b) For each user an LPM trie, whose value is an array of 128 rules that is searched from its first.
 *
 * Users with the same rules share a trie, which is found by index. Rules are in order of precedence, so
 * that the first that matches decides; the first without a verdict ends the array. */

#include "common.h"

#define RULES 128

enum { ANY_PROTOCOL = 255 };

struct rule {
	u8 verdict;
	u8 protocol;
	u16 low;
	u16 high;
	u16 reserved;
};

struct bucket {
	struct rule rules[RULES];
};

/* Arrays of maps, which the loader makes of them. */
struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	u32 *value;
} policies4 SEC(".maps");

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	u32 *value;
} policies6 SEC(".maps");

INLINE u32 verdict_of(const struct owner *owner, const struct request *r)
{
	struct bucket *bucket;
	u32 class = owner->class;
	void *trie;

	if (r->version == 4) {
		struct key4 key = KEY4(r);

		trie = bpf_map_lookup_elem(&policies4, &class);
		if (!trie)
			return 0;
		bucket = bpf_map_lookup_elem(trie, &key);
	} else {
		struct key6 key = KEY6(r);

		trie = bpf_map_lookup_elem(&policies6, &class);
		if (!trie)
			return 0;
		bucket = bpf_map_lookup_elem(trie, &key);
	}
	if (!bucket)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < RULES; i++) {
		struct rule *rule = &bucket->rules[i];

		if (!rule->verdict)
			break;
		if ((rule->protocol == r->protocol || rule->protocol == ANY_PROTOCOL) && rule->low <= r->port &&
		    r->port <= rule->high)
			return rule->verdict;
	}
	return 0;
}
