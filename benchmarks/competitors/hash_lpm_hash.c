/* (a) Device hash, one LPM trie for all destinations, hash of (bucket, service class).
 *
 * Where an index is known it is an array that is read, not a hash: a policy class's buckets by destination,
 * the service class by port. A bucket word is `number << 2 | the verdict of service classes not in the hash`.
 * DESTINATIONS is a power of two. */

#include "common.h"

#define BUCKET_BITS 2

struct judgement {
	u32 bucket;
	u32 service;
};

struct buckets {
	u32 of[DESTINATIONS];
};

struct page {
	u16 of[256];
};

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	MAP_FIELD(map_flags, 1);
	struct key4 *key;
	u32 *value;
} routes4 SEC(".maps");

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	MAP_FIELD(map_flags, 1);
	struct key6 *key;
	u32 *value;
} routes6 SEC(".maps");

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	struct buckets *value;
} reach SEC(".maps");

/* TCP in the first 256 pages, UDP in the others. */
struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 512);
	u32 *key;
	struct page *value;
} services SEC(".maps");

struct {
	MAP_FIELD(type, 1);
	MAP_FIELD(max_entries, 1);
	struct judgement *key;
	u32 *value;
} judgements SEC(".maps");

INLINE u32 verdict_of(const struct owner *owner, const struct request *r)
{
	struct judgement judgement;
	struct buckets *buckets;
	struct page *page;
	u32 *destination, *verdict;
	u32 class = owner->class;
	u32 number, word;

	if (r->version == 4) {
		struct key4 key = KEY4(r);

		destination = bpf_map_lookup_elem(&routes4, &key);
	} else {
		struct key6 key = KEY6(r);

		destination = bpf_map_lookup_elem(&routes6, &key);
	}
	if (!destination)
		return 0;
	buckets = bpf_map_lookup_elem(&reach, &class);
	number = (r->protocol == UDP ? 256 : 0) + (r->port >> 8);
	page = bpf_map_lookup_elem(&services, &number);
	if (!buckets || !page)
		return 0;
	word = buckets->of[*destination & (DESTINATIONS - 1)];
	judgement.bucket = word >> BUCKET_BITS;
	judgement.service = page->of[r->port & 255];
	verdict = bpf_map_lookup_elem(&judgements, &judgement);
	return verdict ? *verdict : word;
}
