/* Counters and events: what userspace sees of decisions. */

enum {
	EVENT_INTERVAL = 100000000ULL,	/* ns an event of a device, in the long run */
	EVENT_BURST = 20,		/* events that a quiet device may have at once */
};

/* How a packet was decided. */
struct outcome {
	u32 slot;
	u32 bucket;
	u32 rule;
	u32 verdict;
	u32 inbound;
};

/* Counters are pairs of packets and bytes. */
INLINE void count(u64 *counter, u32 bytes)
{
	counter[0]++;
	counter[1] += bytes;
}

INLINE void count_rule(u32 rule, u32 bytes)
{
	u32 block = rule / HITS_A_BLOCK;
	struct hits *hits = bpf_map_lookup_elem(&rule_hits, &block);

	if (hits)
		count(&hits->rules[rule % HITS_A_BLOCK * 2], bytes);
}

/* Whether the device may have another event now; `suppressed` receives those withheld since the last. */
INLINE int may_report(u32 slot, u64 now, u64 *suppressed)
{
	struct limit *limit = bpf_map_lookup_elem(&limits, &slot);
	u64 next;

	if (!limit)
		return 0;
	next = READ_ONCE(limit->next);
	if ((s64)(next - now) < 0)
		next = now;
	if (next - now > (EVENT_BURST - 1) * EVENT_INTERVAL) {
		/* Relaxed, so that nothing is fetched. */
		__atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
		return 0;
	}
	WRITE_ONCE(limit->next, next + EVENT_INTERVAL);
	*suppressed = READ_ONCE(limit->suppressed);
	WRITE_ONCE(limit->suppressed, 0);
	return 1;
}

COLD int send_event(const struct packet *p, const struct outcome *o, u32 direction, u32 reason)
{
	struct event event = {};

	if (!p || !o)
		return 0;
	event.time = bpf_ktime_get_boot_ns();
	if (!config.trace && !may_report(o->slot, event.time, &event.suppressed))
		return 0;
	event.slot = o->slot;
	event.generation = config.generation;
	event.bucket = o->bucket;
	event.rule = o->rule;
	to_key(event.source, &p->outer.source);
	to_key(event.destination, &p->outer.destination);
	event.source_port = p->outer.source_port;
	event.destination_port = p->outer.destination_port;
	event.length = p->length;
	event.protocol = p->outer.protocol;
	event.direction = direction;
	event.reason = reason;
	event.verdict = o->verdict;
	event.version = p->version;
	event.inbound = o->inbound;
	event.icmp_type = p->outer.icmp_type;
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 1;
}

INLINE void count_decision(const struct packet *p, const struct outcome *o, u32 direction, u32 reason)
{
	struct processor *cpu = this_cpu();
	u64 at = direction * REASON_SLOTS + reason;

	/* LLVM knows that it is, the verifier does not. */
	asm("" : "+r"(at));
	if (cpu && at < REASON_COUNTERS)
		count(&cpu->reasons[at * 2], p->length);
	if (o->bucket)
		count_rule(o->rule, p->length);
}
