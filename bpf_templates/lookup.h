/* From an address and a service to a decision, by tables alone: no helper, no loop over rules. */

/* An index that the verifier can bound. `mask` keeps it in the table; the barrier keeps LLVM from moving
 * the AND into the operands, or from dropping it where it knows that it changes nothing. The verifier
 * knows less: nothing of a byte-swapped number, nor, before Linux 6.10, of an OR of two unknown ones
 * (is_safe_to_compute_dst_reg_range in kernel/bpf/verifier.c). */
INLINE u32 masked(u32 index, u32 mask)
{
	asm("" : "+r"(index));
	return index & mask;
}

#if V4
INLINE u32 destination4(u32 address)
{
	u32 entry = t_route4_roots[address >> 16];
#if V4_NODES

	if (entry & ROUTE4_POINTER)
		entry = t_route4_nodes[masked((entry & ~ROUTE4_POINTER) << 8 | (address >> 8 & 255), ROUTE4_NODES_MASK)];
	if (entry & ROUTE4_POINTER)
		entry = t_route4_nodes[masked((entry & ~ROUTE4_POINTER) << 8 | (address & 255), ROUTE4_NODES_MASK)];
#endif
	return entry;
}
#endif
#if V6_SEARCH
/* The borrow of a - b - `in`: 1 if a < b + in. Without a branch: one in each step of a search would
 * multiply the verifier's paths. The barrier keeps the compiler from seeing the comparison in it. */
INLINE u64 borrow(u64 a, u64 b, u64 in)
{
	u64 sign = (~a & b) | (~(a ^ b) & (a - b - in));

	asm volatile("" : "+r"(sign));
	return sign >> 63;
}

/* 1 if the address is at or behind the boundary at `position`. */
INLINE u64 reaches(const struct address *a, u32 position)
{
	u64 below = 0;
#if V6_LOW

	below = borrow(a->low, t_route6_low[masked(position, ROUTE6_LOW_MASK)], 0);
#endif
	return 1 ^ borrow(a->high, t_route6_high[masked(position, ROUTE6_HIGH_MASK)], below);
}
#endif
#if V6

INLINE u32 destination6(const struct address *a)
{
	u32 position = 0;
#if V6_SHARED
	u64 shared = a->high >> (64 - ROUTE6_SHARED_BITS);

	if (shared < ROUTE6_SHARED)
		return ROUTE6_BELOW;
	if (shared > ROUTE6_SHARED)
		return ROUTE6_ABOVE;
#endif
#if V6_INDEXED
	position = t_route6_index[masked(a->high >> (64 - ROUTE6_SHARED_BITS - ROUTE6_INDEX_BITS), ROUTE6_INDEX_MASK)];
#endif
#if V6_SEARCH
#pragma clang loop unroll(full)
	for (u32 step = 1 << (ROUTE6_STEPS - 1); step; step >>= 1)
		position += step * reaches(a, position + step);
#endif
	return t_route6_class[masked(position, ROUTE6_CLASS_MASK)];
}
#endif

INLINE u32 destination(const struct address *a, u32 version)
{
#if V4
	if (version == 4)
		return destination4(a->low);
#endif
#if V6
	if (version == 6)
		return destination6(a);
#endif
	return 0;
}

INLINE u32 bucket_of(u32 row, u32 destination_class)
{
	u32 page = t_reach_directory[masked(row * REACH_PER_ROW + (destination_class >> 6), REACH_DIRECTORY_MASK)];

	return t_reach_pages[masked(page << 6 | (destination_class & 63), REACH_PAGES_MASK)];
}

INLINE u32 service_of(u32 protocol, u32 port)
{
#if PORTS
	u32 row, page;

	if (protocol == PROTOCOL_TCP)
		row = 0 << 8;
	else if (protocol == PROTOCOL_UDP)
		row = 1 << 8;
	else if (protocol == PROTOCOL_SCTP)
		row = 2 << 8;
	else
		return t_protocols[masked(protocol, PROTOCOLS_MASK)];
	page = t_ports_directory[masked(row | port >> 8, PORTS_DIRECTORY_MASK)];
	return t_ports_pages[masked(page << 8 | (port & 255), PORTS_PAGES_MASK)];
#else
	return t_protocols[masked(protocol, PROTOCOLS_MASK)];
#endif
}

INLINE u32 decision_of(u32 bucket, u32 service)
{
	u32 page = t_judge_directory[masked(bucket * JUDGE_PER_ROW + (service >> 6), JUDGE_DIRECTORY_MASK)];

	return t_judge_pages[masked(page << 6 | (service & 63), JUDGE_PAGES_MASK)];
}

/* What the tables are asked. `port`: of the side that was spoken to first. */
struct question {
	struct address remote;
	u32 row;
	u32 version;
	u32 protocol;
	u32 port;
	u32 kind;
	u32 reserved;
};

/* What they say; `bucket` 0: nothing. */
struct found {
	u32 bucket;
	u32 decision;
};

INLINE struct found look_up(const struct question *q)
{
	struct found found = { .bucket = bucket_of(q->row, destination(&q->remote, q->version)) };

	if (found.bucket)
		found.decision = decision_of(found.bucket, q->kind & UNKNOWN_PORTS ? FRAGMENT_CLASS :
						   service_of(q->protocol, q->port));
	return found;
}

/* The same for the slow path; both numbers in one. */
COLD u64 look_up_cold(const struct question *q)
{
	struct found found;

	if (!q)
		return 0;
	found = look_up(q);
	return (u64)found.bucket << 32 | found.decision;
}

INLINE struct found unpacked(u64 both)
{
	return (struct found){ .bucket = both >> 32, .decision = both };
}
