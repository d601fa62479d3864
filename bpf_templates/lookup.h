/* From an address and a service to a decision, by tables alone: no helper, no loop over rules. */

#if V4
INLINE u32 destination4(u32 address)
{
	u32 entry = t_route4_roots[address >> 16];
#if V4_NODES

	if (entry & ROUTE4_POINTER)
		entry = t_route4_nodes[((entry & ~ROUTE4_POINTER) << 8 | (address >> 8 & 255)) & ROUTE4_NODES_MASK];
	if (entry & ROUTE4_POINTER)
		entry = t_route4_nodes[((entry & ~ROUTE4_POINTER) << 8 | (address & 255)) & ROUTE4_NODES_MASK];
#endif
	return entry;
}
#endif
#if V6_SEARCH
/* 1 if a >= b, without a branch: a branch for each step of a search would multiply the verifier's paths. */
INLINE u64 at_least(u64 a, u64 b)
{
	return 1 ^ (((~a & b) | (~(a ^ b) & (a - b))) >> 63);
}

INLINE u64 reaches(const struct address *a, u32 position)
{
	u64 high = t_route6_high[position & ROUTE6_HIGH_MASK];
#if V6_LOW
	u64 low = t_route6_low[position & ROUTE6_LOW_MASK];

	return at_least(a->high, high) & ((at_least(high, a->high) ^ 1) | at_least(a->low, low));
#else

	return at_least(a->high, high);
#endif
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
	position = t_route6_index[a->high >> (64 - ROUTE6_SHARED_BITS - ROUTE6_INDEX_BITS) & ROUTE6_INDEX_MASK];
#endif
#if V6_SEARCH
#pragma clang loop unroll(full)
	for (u32 step = 1 << (ROUTE6_STEPS - 1); step; step >>= 1)
		position += step * reaches(a, position + step);
#endif
	return t_route6_class[position & ROUTE6_CLASS_MASK];
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
	u32 page = t_reach_directory[(row * REACH_PER_ROW + (destination_class >> 6)) & REACH_DIRECTORY_MASK];

	return t_reach_pages[(page << 6 | (destination_class & 63)) & REACH_PAGES_MASK];
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
		return t_protocols[protocol & PROTOCOLS_MASK];
	page = t_ports_directory[(row | port >> 8) & PORTS_DIRECTORY_MASK];
	return t_ports_pages[(page << 8 | (port & 255)) & PORTS_PAGES_MASK];
#else
	return t_protocols[protocol & PROTOCOLS_MASK];
#endif
}

INLINE u32 decision_of(u32 bucket, u32 service)
{
	u32 page = t_judge_directory[(bucket * JUDGE_PER_ROW + (service >> 6)) & JUDGE_DIRECTORY_MASK];

	return t_judge_pages[(page << 6 | (service & 63)) & JUDGE_PAGES_MASK];
}
