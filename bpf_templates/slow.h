/* The slow path: whatever the fast one has not let pass, from the beginning. It alone drops. */

#if IP
INLINE u32 other_way(u32 direction)
{
	return FROM_DEVICE + TO_DEVICE - direction;
}

/* Whether the packet inside an ICMP error went to the device that the error comes from, or came from the one
 * that the error goes to. */
INLINE int is_about_own(const struct slow_packet *slow, u32 direction)
{
	const struct address *own = direction == FROM_DEVICE ? &slow->packet.outer.source :
							       &slow->packet.outer.destination;
	const struct address *inner = direction == FROM_DEVICE ? &slow->inner.destination : &slow->inner.source;

	return own->high == inner->high && own->low == inner->low;
}

/* PASS, or the reason against a packet: as a new one (`initiates`), by the policy of the side that it comes
 * from; or as a reply, by that of the other side. */
COLD u32 admit(struct outcome *o, const struct subject *s, const struct slow_packet *slow, u32 initiates)
{
	struct view v = {};
	u32 opener;

	if (!o || !s || !slow)
		return REASON_NO_DEVICE;
	if (initiates || !(slow->packet.outer.kind & IS_ERROR)) {
		view_of(&v, &slow->packet.outer, s->direction);
		opener = READ_ONCE(s->direction);
		if (!initiates)
			opener = other_way(opener);
		return consider(o, s, &v, opener == TO_DEVICE, initiates);
	}
	/* An ICMP error passes if the packet that it is about passed, the other way, and belongs to this device. */
	if (!is_about_own(slow, s->direction))
		return REASON_NO_FLOW;
	view_of(&v, &slow->inner, other_way(s->direction));
#if INBOUND
	if (consider(o, s, &v, 1, 0) == REASON_PASS)
		return REASON_PASS;
#endif
	return consider(o, s, &v, 0, 0);
}

/* A packet from a device is judged by its user's policy, else as a reply to what came in; one to a device
 * as a reply to what it sent, else by the inbound policy. */
INLINE u32 judge(struct outcome *o, const struct slow_packet *slow, u32 direction)
{
	struct outcome second = {};
	struct subject s;
	u32 reason, other;
	int known = subject_of(&slow->packet, direction, &s);

	o->slot = second.slot = s.slot;
	if (!known)
		return REASON_NO_DEVICE;
	reason = admit(o, &s, slow, direction == FROM_DEVICE);
	if (reason == REASON_PASS)
		return REASON_PASS;
#if INBOUND
#else
	if (direction == TO_DEVICE || !(slow->packet.outer.kind & IS_ERROR))
		return reason;
#endif
	other = admit(&second, &s, slow, direction == TO_DEVICE);
	/* Where the inbound policy has a bucket, that is the reason; where it has none, the reply's is. */
	if (other == REASON_PASS || (direction == TO_DEVICE && (second.bucket || reason == REASON_NO_FLOW))) {
		*o = second;
		reason = other == REASON_NO_BUCKET ? REASON_NO_FLOW : other;
	}
	return reason;
}
#endif

/* PASS, or the reason against a packet whose parsing came to `status`. Apart from its caller, so that the
 * verifier follows what that does with the reason once, and not for each. */
COLD u32 reason_of(struct outcome *o, struct slow_packet *slow, int status, u32 direction)
{
	u32 reason;

	if (!o || !slow)
		return REASON_MALFORMED;
	if (status == NO_RULES)
		return direction == FROM_DEVICE ? REASON_NO_BUCKET : REASON_NO_FLOW;
	if (status != PARSED)
		return REASON_MALFORMED;
#if IP
	if (slow->packet.fragment == LATER_FRAGMENT)
		fragment_complete(&slow->packet, direction);
	reason = judge(o, slow, direction);
	if (reason == REASON_PASS && slow->packet.fragment == FIRST_FRAGMENT)
		fragment_passed(&slow->packet, direction);
	return reason;
#else
	return REASON_MALFORMED;
#endif
}

/* Decide a parsed packet, count it, and tell of a drop. Returns 1 if it may pass. */
INLINE int decide(struct slow_packet *slow, int status, u32 direction)
{
	struct outcome o = {};
	u32 reason;

	if (status == LINK_LOCAL)
		return 1;
	reason = reason_of(&o, slow, status, direction);
	count_decision(&slow->packet, &o, direction, reason);
	if (reason != REASON_PASS || config.trace)
		send_event(&slow->packet, &o, direction, reason);
	return reason == REASON_PASS;
}
