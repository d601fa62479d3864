/* Follows a chain of indexes through an array, STEPS of them a run: each load waits for the one before. */

#define STEPS 64

struct line {
	u32 next;
	u32 rest[15];
};

struct place {
	u32 at;
	u32 reserved;
};

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	struct line *value;
} lines SEC(".maps");

struct {
	MAP_FIELD(type, 2);
	MAP_FIELD(max_entries, 1);
	u32 *key;
	struct place *value;
} place SEC(".maps");

SEC("tc")
int follow(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct place *place_ = bpf_map_lookup_elem(&place, &zero);
	u32 at;

	if (!place_ || !skb)
		return TC_DROP;
	at = place_->at;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < STEPS; i++) {
		struct line *line = bpf_map_lookup_elem(&lines, &at);

		if (!line)
			return TC_DROP;
		at = line->next;
	}
	place_->at = at;
	return TC_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
