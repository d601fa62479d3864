/* Devices: whose address a packet has, and what their session allows. */

enum { NOBODY = 0 };

/* The owner of an address that no index covers; NOBODY: it is no device's. As one number, see owner_of. */
COLD u64 owner_by_hash(const struct address *a)
{
	struct address_key key;
	struct owner *owner;

	if (!a)
		return NOBODY;
	to_key(key.address, a);
	owner = bpf_map_lookup_elem(&addresses, &key);
	return owner ? READ_ONCE(*(u64 *)owner) : NOBODY;
}

/* The owner of a tunnel address, `subject << 32 | slot`; NOBODY: it is no device's. */
INLINE u64 owner_of(const struct address *a, u32 version)
{
	struct address hashed;
#if TUNNEL4 || TUNNEL6
	u64 *owner;
	u32 at;
#endif
#if TUNNEL4

	if (version == 4) {
		at = tunnel4_offset(a->low);
		owner = bpf_map_lookup_elem(&tunnel4, &at);
		if (owner)
			return READ_ONCE(*owner);
	}
#endif
#if TUNNEL6

	if (version == 6 && a->high == TUNNEL6_HIGH && a->low - TUNNEL6_LOW < TUNNEL6_SIZE) {
		at = a->low - TUNNEL6_LOW;
		owner = bpf_map_lookup_elem(&tunnel6, &at);
		if (owner)
			return READ_ONCE(*owner);
	}
#endif
	/* A copy, so that the packet's own record can stay in registers. */
	hashed = *a;
	return owner_by_hash(&hashed);
}

/* The policy class of a subject; NOBODY_CLASS: it may nothing. */
INLINE u32 class_of(u32 subject)
{
	u32 entry = subject / (64 / CLASS_BITS);
	u64 *classes = bpf_map_lookup_elem(&subject_class, &entry);

	if (!classes)
		return NOBODY_CLASS;
	return READ_ONCE(*classes) >> (subject % (64 / CLASS_BITS) * CLASS_BITS) & ((1ULL << CLASS_BITS) - 1);
}

#if MFA
enum { SECOND = 1000000000 };

/* PASS, or why the session does not let an mfa rule's packets pass. */
INLINE u32 session(u32 slot, u32 direction, struct processor *cpu)
{
	struct device *device = bpf_map_lookup_elem(&devices, &slot);
	u64 deadline, idle_limit, now;
	s64 quiet;

	if (!device)
		return REASON_NO_DEVICE;
	if (READ_ONCE(device->flags) & DEVICE_LOCKED)
		return REASON_LOCKED;
	deadline = READ_ONCE(device->deadline);
	if (!deadline)
		return REASON_NEEDS_LOGIN;
	now = clock(cpu);
	if (now >= deadline)
		return REASON_SESSION_EXPIRED;
	idle_limit = READ_ONCE(device->idle_limit);
	/* Another CPU may have noted a later time than ours. */
	quiet = now - READ_ONCE(device->last_active);
	if (idle_limit && quiet > 0 && (u64)quiet > idle_limit)
		return REASON_IDLE;
	/* Not at each packet, or the CPUs would fight for the cache line. */
	if (direction == FROM_DEVICE && quiet > SECOND)
		WRITE_ONCE(device->last_active, now);
	return REASON_PASS;
}
#endif
