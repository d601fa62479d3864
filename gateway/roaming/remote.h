/* Endpoints as these programs compare them: address and UDP port. */

static long (*const bpf_probe_read_kernel)(void *to, u32 size, u64 from) = (void *)113;

#define MAPPED_WORD(address) (0xffff0000ULL | (u64)(address) << 32)

enum { REMOTE_KNOWN = 1 << 16, FAMILY_IPV4 = 2, FAMILY_IPV6 = 10 };

struct remote {
	u64 words[3];
};

/* `address` and `port` in network order, as they lie in memory. */
INLINE void set_remote4(struct remote *r, u32 address, u16 port)
{
	r->words[0] = 0;
	r->words[1] = MAPPED_WORD(address);
	r->words[2] = REMOTE_KNOWN | port;
}

INLINE void set_remote6(struct remote *r, u64 high, u64 low, u16 port)
{
	r->words[0] = high;
	r->words[1] = low;
	r->words[2] = REMOTE_KNOWN | port;
}

INLINE int same(const struct remote *r, const u64 *words)
{
	return !(r->words[0] ^ READ_ONCE(words[0]) | r->words[1] ^ READ_ONCE(words[1]) |
		 r->words[2] ^ READ_ONCE(words[2]));
}
