/* From an address and a service to a decision, by tables alone: no helper, no loop over rules. */

#define ENTRIES(table) (sizeof(table) / sizeof((table)[0]))

/* End the function at hand with 0, which is no destination, no bucket, no decision, unless `at` is below
 * `end`. The barrier keeps LLVM from dropping the comparison where it knows that it changes nothing, and
 * from comparing another register than the one that indexes: the verifier knows less, nothing of a
 * byte-swapped number, nor, before Linux 6.10, of an OR of two unknown ones
 * (is_safe_to_compute_dst_reg_range in kernel/bpf/verifier.c). */
#define BOUND(at, end)								\
	do {									\
		asm("" : "+r"(at));						\
		if ((at) >= (end))						\
			return 0;						\
	} while (0)

/* Where a search in `table` begins, so that all of its steps together end within it: one comparison is enough
 * for the verifier. Where that is before the first step's width, LLVM would make an OR of the first addition,
 * of which the verifier takes more to be possible than of a sum. */
#define BEGIN_SEARCH(position, table, steps)					\
	do {									\
		BOUND(position, ENTRIES(table) - ((1 << (steps)) - 1));		\
		if (ENTRIES(table) - ((1 << (steps)) - 1) <= 1 << ((steps) - 1)) \
			asm("" : "+r"(position));				\
	} while (0)

/* Entry `at` of a table; behind its end there is nothing. */
#define LOAD(table, at)								\
	({									\
		u64 at_ = (at);							\
										\
		BOUND(at_, ENTRIES(table));					\
		(table)[at_];							\
	})

/* 1 if the sign bit is set, else 0. The barriers keep the compiler from making a branch of the comparison
 * that this is: one in each step of a search would be mispredicted half of the time, and multiply the
 * verifier's paths. */
INLINE u64 negative(u64 number)
{
	asm volatile("" : "+r"(number));
	number >>= 63;
	asm volatile("" : "+r"(number));
	return number;
}

#if V4_TRIE
INLINE u32 destination4(u64 address)
{
	u64 entry = LOAD(t_route4_roots, address >> 16);
#if V4_NODES

	if (entry & ROUTE4_POINTER)
		entry = LOAD(t_route4_nodes, (entry & ~ROUTE4_POINTER) << 8 | (address >> 8 & 255));
	if (entry & ROUTE4_POINTER)
		entry = LOAD(t_route4_nodes, (entry & ~ROUTE4_POINTER) << 8 | (address & 255));
#endif
	return entry;
}
#endif
/* Straight-line code counts the boundaries that are reached one after the other, as the barriers have it: the
 * stack would have to hold what is begun with before. */
#define COUNT_REACHED(reached)							\
	do {									\
		reached_ += (reached);						\
		asm volatile("" : "+r"(reached_));				\
	} while (0)

#if V4_CODE
/* 1 if the address before `next` has reached a boundary, which is a constant. */
INLINE u64 reached4(u64 next, u64 boundary)
{
	return negative(boundary - next);
}

INLINE u32 destination4(u64 address)
{
	u64 next = address + 1;

	asm volatile("" : "+r"(next));
	return LOAD(t_route4_class, ROUTE4_REACHED(next));
}
#endif
#if V4_SEARCH
#if V4_STEPS
/* 1 if the address before `next` has reached the boundary at `position`, which is in the table. */
INLINE u64 reached4(u64 next, u64 position)
{
	return negative(t_route4_keys[position] - next);
}
#endif

INLINE u32 destination4(u64 address)
{
	u64 position = 0;
	u64 next = address + 1;
#if V4_INDEXED

	position = LOAD(t_route4_index, address >> (32 - ROUTE4_INDEX_BITS));
#endif
#if V4_STEPS
	BEGIN_SEARCH(position, t_route4_keys, ROUTE4_STEPS);
	if (ROUTE4_STEPS & 1) {
		u64 step = 1 << (ROUTE4_STEPS - 1);

		position += step * reached4(next, position + step);
	}
	/* What takes time is to wait for a boundary to be loaded, so three are loaded at once, and two halving
	 * steps become one. */
#pragma clang loop unroll(full)
	for (u64 shift = ROUTE4_STEPS & ~1; shift; shift -= 2) {
		u64 step = 1 << (shift - 2);

		position += step * (reached4(next, position + step) + reached4(next, position + 2 * step) +
				    reached4(next, position + 3 * step));
	}
#endif
	return LOAD(t_route4_class, position);
}
#endif
#if V6_COMPARES
#if V6_SHARED
/* The two numbers that addresses are compared as: the last 63 bits, and the 64 before them. All begin with the
 * same two bits, so that the sign of a difference tells which is less. */
#define HIGH6(high, low) ((u64)(high) << 1 | (u64)(low) >> 63)
#define LOW6(low) ((low) & ~0ULL >> 1)

/* 1 if the address whose parts are `high` and, before `next`, its low one has reached a boundary. */
INLINE u64 reached6(u64 high, u64 next, u64 boundary_high, u64 boundary_low)
{
	u64 low_reached = 1;
#if V6_LOW

	low_reached = negative(boundary_low - next);
#endif
	return negative(boundary_high - high - low_reached);
}
#else
#define HIGH6(high, low) (high)
#define LOW6(low) (low)

/* A number whose sign bit is set if a < b + borrow, without a branch. */
INLINE u64 less(u64 a, u64 b, u64 borrow)
{
	return (~a & b) | (~(a ^ b) & (a - b - borrow));
}

/* 1 if an address has reached a boundary. */
INLINE u64 reached6(u64 high, u64 low, u64 boundary_high, u64 boundary_low)
{
	u64 below = 0;

	asm volatile("" : "+r"(high), "+r"(low));
#if V6_LOW
	below = negative(less(low, boundary_low, 0));
#endif
	return negative(less(high, boundary_high, below)) ^ 1;
}
#endif
#endif
#if V6_SEARCH
/* The low half of the boundary at `position`, which is in the tables. */
INLINE u64 boundary6_low(u64 position)
{
#if V6_LOW
	return t_route6_low[position];
#else
	return 0;
#endif
}
#endif
#if V6

INLINE u32 destination6(u64 high, u64 low)
{
	u64 position = 0;
#if V6_SHARED
	u64 shared = high >> (64 - ROUTE6_SHARED_BITS);

	if (shared < ROUTE6_SHARED)
		return ROUTE6_BELOW;
	if (shared > ROUTE6_SHARED)
		return ROUTE6_ABOVE;
#endif
#if V6_INDEXED
	position = LOAD(t_route6_index,
			(high >> (64 - ROUTE6_SHARED_BITS - ROUTE6_INDEX_BITS)) & ((1 << ROUTE6_INDEX_BITS) - 1));
#endif
#if V6_COMPARES
	high = HIGH6(high, low);
	low = LOW6(low);
#if V6_SHARED
	low++;
#endif
#endif
#if V6_SEARCH
	BEGIN_SEARCH(position, t_route6_high, ROUTE6_STEPS);
#pragma clang loop unroll(full)
	for (u64 step = 1 << (ROUTE6_STEPS - 1); step; step >>= 1)
		position += step * reached6(high, low, t_route6_high[position + step], boundary6_low(position + step));
#endif
#if V6_CODE
	position = ROUTE6_REACHED(high, low);
#endif
	return LOAD(t_route6_class, position);
}
#endif

#if REACH_RANKED
INLINE u64 ones(u64 word)
{
	return __builtin_popcountll(word);
}
#endif

INLINE u32 bucket_of(u64 row, u64 destination_class)
{
#if REACH_PLAIN
	return LOAD(t_reach, row * REACH_WIDTH + destination_class);
#endif
#if REACH_PAGED
	u64 page = LOAD(t_reach_directory, row * REACH_PER_ROW + (destination_class >> 6));

	return LOAD(t_reach_pages, page << 6 | (destination_class & 63));
#endif
#if REACH_RANKED
	/* A line is 64 columns: where another bucket begins, and where the line's buckets are. */
	u64 line = LOAD(t_reach_directory, row * REACH_PER_ROW + (destination_class >> 6));
	u64 starts = LOAD(t_reach_lines, line << 1);
	u64 base = LOAD(t_reach_lines, line << 1 | 1);

	return LOAD(t_reach_values, base + ones(starts & ((2ULL << (destination_class & 63)) - 1)));
#endif
}

#if PORTS
/* The service class of a port; `row` is the protocol's, 0 for TCP, 1 for UDP, 2 for SCTP. */
INLINE u32 service_of_port(u64 row, u32 port)
{
	u64 page = LOAD(t_ports_directory, row << 8 | port >> 8);

	return LOAD(t_ports_pages, page << 8 | (port & 255));
}
#endif

INLINE u32 service_of(u32 protocol, u32 port)
{
#if PORTS
	if (protocol == PROTOCOL_TCP)
		return service_of_port(0, port);
	if (protocol == PROTOCOL_UDP)
		return service_of_port(1, port);
	if (protocol == PROTOCOL_SCTP)
		return service_of_port(2, port);
#endif
	return LOAD(t_protocols, protocol);
}

/* Which of a bucket's rules decides, and its verdict: `local << VERDICT_BITS | verdict`. */
INLINE u32 judgement_of(u64 pattern, u64 service)
{
#if JUDGE_PLAIN
	return LOAD(t_judge, pattern * JUDGE_WIDTH + service);
#endif
#if JUDGE_PAGED
	u64 page = LOAD(t_judge_directory, pattern * JUDGE_PER_ROW + (service >> 6));

	return LOAD(t_judge_pages, page << 6 | (service & 63));
#endif
}

/* A decision has the rule's id behind its verdict, and between them whether the rule says `within`, in policies
 * where any does. Entries of t_bucket_rules have both already. */
#if WITHIN
enum { SAYS_WITHIN = 1 << VERDICT_BITS, RULE_SHIFT = VERDICT_BITS + 1 };
#else
enum { RULE_SHIFT = VERDICT_BITS };
#endif

/* What a bucket says of a service: rule and verdict in one, 0: nothing. */
INLINE u32 decision_of(u64 bucket, u64 service)
{
	u64 record = LOAD(t_buckets, bucket);
	u64 judgement = judgement_of(record >> 32, service);
	u64 rule;

	if (!judgement)
		return 0;
	rule = LOAD(t_bucket_rules, (record & 0xffffffff) + (judgement >> VERDICT_BITS));
	return rule << VERDICT_BITS | (judgement & VERDICT_MASK);
}

INLINE u32 destination(u64 high, u64 low, u32 version)
{
#if V4
	if (version == 4)
		return destination4(low & 0xffffffff);
#endif
#if V6
	if (version == 6)
		return destination6(high, low);
#endif
	return 0;
}

enum { ANY_SERVICE = 1 << 24 };		/* in place of a service: a later fragment whose first has not been seen */

/* What the tables say, for the slow path: `bucket << 32 | decision`; 0: nothing. `service` is
 * `protocol << 16 | port`, with the port of the side that was spoken to first. All are numbers, so that
 * callers need no memory for them. */
COLD u64 look_up(u64 high, u64 low, u32 version, u32 row, u32 service)
{
	u64 bucket;

	/* A policy's tables may not ask for all of them. LLVM would then have callers leave the registers unset,
	 * which the verifier does not let them. */
	asm volatile("" : : "r"(high), "r"(low), "r"(version), "r"(row), "r"(service));
	bucket = bucket_of(row, destination(high, low, version));
	if (!bucket)
		return 0;
	service = service & ANY_SERVICE ? FRAGMENT_CLASS : service_of(service >> 16, service & 0xffff);
	return bucket << 32 | decision_of(bucket, service);
}
