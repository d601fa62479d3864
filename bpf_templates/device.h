/* Devices: whose address a packet has, and what their session allows. */

/* The slot of the device with this address; 0: none. */
INLINE u32 slot_of(const struct address *a, u32 version)
{
	struct address_key key;
	u32 *slot;
#if TUNNEL_INDEX
	u32 offset = tunnel_offset(a->low);

	if (version == 4 && offset < TUNNEL_SIZE) {
		slot = bpf_map_lookup_elem(&tunnel_index, &offset);
		return slot ? *slot : 0;
	}
#endif
	to_key(key.address, a);
	slot = bpf_map_lookup_elem(&addresses, &key);
	return slot ? *slot : 0;
}

#if MFA
enum { SECOND = 1000000000 };

/* PASS, or why the session does not let an mfa rule's packets pass. */
INLINE u32 session(struct device *device, u32 direction)
{
	u64 deadline = READ_ONCE(device->deadline);
	u64 idle_limit = READ_ONCE(device->idle_limit);
	u64 now;
	s64 quiet;

	if (READ_ONCE(device->flags) & DEVICE_LOCKED)
		return REASON_LOCKED;
	if (!deadline)
		return REASON_NEEDS_LOGIN;
	now = bpf_ktime_get_boot_ns();
	if (now >= deadline)
		return REASON_SESSION_EXPIRED;
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
