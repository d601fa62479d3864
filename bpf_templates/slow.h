/* The slow path: whatever the fast one has not let pass, from the beginning. It alone drops. */

/* An ICMP error passes if the packet that it is about passed, the other way, and belongs to this device. */
INLINE u32 consider_inner(struct outcome *o, const struct subject *s, const struct address *own,
			  const struct tuple *inner)
{
	u32 back = s->direction == FROM_DEVICE ? TO_DEVICE : FROM_DEVICE;
	const struct address *end = s->direction == FROM_DEVICE ? &inner->destination : &inner->source;
	struct view v;
	u32 reason;
#if INBOUND
	struct outcome other = { .slot = s->slot };
#endif

	if (own->high != end->high || own->low != end->low)
		return REASON_NO_FLOW;
	view_of(&v, inner, back);
	reason = consider(o, s, &v, 0, 0);
#if INBOUND
	if (reason != REASON_PASS && consider(&other, s, &v, 1, 0) == REASON_PASS) {
		*o = other;
		return REASON_PASS;
	}
#endif
	return reason;
}

/* A packet from a device: by its user's policy, else as an answer to what came in. */
INLINE u32 judge_from_device(struct outcome *o, const struct subject *s, const struct slow_packet *slow)
{
	struct outcome answer = { .slot = s->slot };
	struct view v;
	u32 reason;
	u32 answers = REASON_NO_FLOW;

	view_of(&v, &slow->packet.outer, FROM_DEVICE);
	reason = consider(o, s, &v, 0, 1);
	if (reason == REASON_PASS)
		return REASON_PASS;
	if (slow->packet.outer.kind & IS_ERROR)
		answers = consider_inner(&answer, s, &slow->packet.outer.source, &slow->inner);
#if INBOUND
	else
		answers = consider(&answer, s, &v, 1, 0);
#endif
	if (answers != REASON_PASS)
		return reason;
	*o = answer;
	return REASON_PASS;
}

/* A packet to a device: as a reply to what it sent, else by the inbound policy. */
INLINE u32 judge_to_device(struct outcome *o, const struct subject *s, const struct slow_packet *slow)
{
#if INBOUND
	struct outcome opening = { .slot = s->slot };
	u32 opens;
#endif
	struct view v;
	u32 reason;

	view_of(&v, &slow->packet.outer, TO_DEVICE);
	if (slow->packet.outer.kind & IS_ERROR)
		reason = consider_inner(o, s, &slow->packet.outer.destination, &slow->inner);
	else
		reason = consider(o, s, &v, 0, 0);
#if INBOUND
	if (reason == REASON_PASS)
		return REASON_PASS;
	opens = consider(&opening, s, &v, 1, 1);
	/* Where the inbound policy has a bucket, that is the reason; where it has none, the reply's is. */
	if (opening.bucket || reason == REASON_NO_FLOW) {
		*o = opening;
		reason = opens == REASON_NO_BUCKET ? REASON_NO_FLOW : opens;
	}
#endif
	return reason;
}

INLINE u32 judge(struct outcome *o, const struct slow_packet *slow, u32 direction)
{
	struct subject s;
	u32 reason;

	if (!subject_of(&slow->packet, direction, &s)) {
		o->slot = s.slot;
		return REASON_NO_DEVICE;
	}
	o->slot = s.slot;
	reason = direction == FROM_DEVICE ? judge_from_device(o, &s, slow) : judge_to_device(o, &s, slow);
	if (reason == REASON_PASS && slow->packet.fragment == FIRST_FRAGMENT)
		fragment_passed(&slow->packet, direction);
	return reason;
}
