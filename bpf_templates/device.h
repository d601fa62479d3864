/* Devices: whose address a packet has, and what their session allows. */

enum { NOBODY = 0 };

/* The owner of an address that no index covers; NOBODY: it is no device's. As one number, see owner_of. */
COLD u64 owner_by_hash(u64 high, u64 low)
{
	struct address a = { .high = high, .low = low };
	struct address_key key;
	u64 *owner;

	to_key(key.address, &a);
	owner = bpf_map_lookup_elem(&addresses, &key);
	return owner ? READ_ONCE(*owner) : NOBODY;
}

/* The owner of a tunnel address, `subject << 32 | slot`; NOBODY: it is no device's. */
INLINE u64 owner4(u32 address)
{
#if TUNNEL4
	u32 at = tunnel4_offset(address);
	u64 *owner = bpf_map_lookup_elem(&tunnel4, &at);

	if (owner)
		return READ_ONCE(*owner);
#endif
	return owner_by_hash(0, MAPPED_IPV4 | address);
}

INLINE u64 owner6(u64 high, u64 low)
{
#if TUNNEL6
	u32 at = low - TUNNEL6_LOW;

	if (high == TUNNEL6_HIGH && low - TUNNEL6_LOW < TUNNEL6_SIZE) {
		u64 *owner = bpf_map_lookup_elem(&tunnel6, &at);

		if (owner)
			return READ_ONCE(*owner);
	}
#endif
	return owner_by_hash(high, low);
}

INLINE u64 owner_of(const struct address *a, u32 version)
{
	return version == 4 ? owner4(a->low) : owner6(a->high, a->low);
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
#if WITHIN

/* Whether the last login is as recent as the rule of a decision asks. */
INLINE int is_recent(const struct device *device, u32 decision, u64 now)
{
	u64 login = READ_ONCE(device->login);
	u64 within = LOAD(t_within, decision >> RULE_SHIFT);

	/* Userspace may have noted a later time than ours. */
	return login && (s64)(now - login) <= (s64)(within * SECOND);
}
#endif

/* PASS, or why the session does not let the packets of an mfa rule's decision pass. */
INLINE u32 session(u32 slot, u32 direction, u32 decision, struct processor *cpu)
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
#if WITHIN
	if (decision & SAYS_WITHIN && !is_recent(device, decision, now))
		return REASON_LOGIN_TOO_OLD;
#endif
	/* Not at each packet, or the CPUs would fight for the cache line. */
	if (direction == FROM_DEVICE && quiet > SECOND)
		WRITE_ONCE(device->last_active, now);
	return REASON_PASS;
}
#endif
