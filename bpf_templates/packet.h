/* What is known of a packet once it is parsed. */

/* An address in host order; IPv4 is ::ffff:a.b.c.d, so that both versions have one form in maps. */
struct address {
	u64 high;
	u64 low;
};

#define MAPPED_IPV4 0x0000ffff00000000ULL

enum {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_SCTP = 132,
};

/* How a packet may relate to others, apart from what the policy says of it. */
enum {
	OPENS_FLOW = 1,		/* passing as a new packet, it lets replies come back */
	REPLIES_BY_POLICY = 2,	/* may be a reply; the policy of the other direction is enough to say so */
	REPLIES_BY_FLOW = 4,	/* may be a reply, of a flow that is known */
	IS_ERROR = 8,		/* an ICMP error about another packet, the inner one */
	UNKNOWN_PORTS = 16,	/* a later fragment whose first has not been seen */
};

/* ICMP queries and their answers have the identifier as source_port in the direction of the query,
 * as destination_port in the direction of the answer, so that both name the same flow. */
struct tuple {
	struct address source;
	struct address destination;
	u32 protocol;
	u16 source_port;
	u16 destination_port;
	u32 kind;
	u32 icmp_type;
};

enum { WHOLE, FIRST_FRAGMENT, LATER_FRAGMENT };

struct packet {
	struct tuple outer;
	u32 version;
	u32 fragment;
	u32 identification;
	u32 length;
};

/* A packet, and the one inside an ICMP error, on the slow path: in memory. */
struct slow_packet {
	struct packet packet;
	struct tuple inner;
	u32 offset;	/* of the header that is next, from the IP header on */
	u32 icmp;	/* the protocol that ICMP is, in the packet's version of IP */
};

/* An address as maps have it: 16 bytes in network order. */
INLINE void to_key(u8 *bytes, const struct address *a)
{
	u64 *words = (u64 *)bytes;

	words[0] = from_network64(a->high);
	words[1] = from_network64(a->low);
}

/* What parsing comes to. */
enum parsed {
	PARSED = 0,
	MALFORMED,	/* not what it says it is */
	SHORT,		/* goes on outside the linear part of the buffer */
	UNFINISHED,	/* there is another option or extension header */
	LINK_LOCAL,	/* ARP or neighbour discovery on Ethernet, without which there is no link */
	NO_RULES,	/* of an IP version that the policy has no rules for */
};

/* The packet from its IP header on: `total` bytes, of which those before `end` can be read. */
struct cursor {
	u8 *data;
	u8 *end;
	u32 total;
};

/* Whether the packet ends before `offset`. By the sign of the difference: once the two are compared, the
 * verifier that must know the offset keeps paths apart by the length too. */
INLINE int is_behind(const struct cursor *c, u32 offset)
{
	return (s32)(c->total - offset) < 0;
}

/* Point `pointer` to the `size` bytes at `offset`: PARSED, or why they cannot be had. Not by returning
 * NULL: the compiler would compare with it the low half of the address alone, since the kernel declares
 * `data` as a 32-bit field. */
#define HEADER(c, offset, size, pointer)						\
	({										\
		u8 *at_ = (c)->data + (offset);						\
											\
		(pointer) = (void *)at_;						\
		is_behind(c, (offset) + (size)) ? MALFORMED :				\
		at_ + (size) > (c)->end ? SHORT : PARSED;				\
	})

/* Headers begin before this offset: IP, extensions, ICMP and the IP header of the packet inside are shorter. */
enum { OFFSETS = 512 };

/* A value of which the compiler knows nothing. */
INLINE u32 opaque(u32 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

/* `offset`, in bounds that are the same wherever the verifier comes from. */
INLINE u32 bounded(u32 offset)
{
	return opaque(offset) & (OFFSETS - 1);
}

/* Where the next header is. From memory, of which the verifier knows nothing: ways that led here are one to
 * it from now on. */
INLINE u32 position(const struct slow_packet *slow)
{
	return bounded(READ_ONCE(slow->offset));
}
