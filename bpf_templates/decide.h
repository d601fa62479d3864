/* The decision: device, policy class, bucket, rule, session, and whether it is a reply. */

#if IP
/* Whose packet it is, and which way it goes. */
struct subject {
	u32 slot;
	u32 class;
	u32 version;
	u32 direction;
};

/* What one side of the policy says of a packet: PASS, or the reason against it.
 *
 * A packet that the side's own initiator sent is judged as it is. One that goes the other way passes
 * only as a reply, and is judged by what the side says of the packets that it replies to: so a reply
 * stops when what it replies to would. */
INLINE u32 consider(struct outcome *o, const struct subject *s, struct device *device, const struct view *v,
		    u32 inbound, u32 initiates)
{
	u32 service, decision, reason;
	struct flow_key key;
	struct flow *flow = NULL;
	u64 now = 0;

	o->bucket = o->rule = o->verdict = 0;
	o->inbound = inbound;
	if (v->kind & (initiates ? OPENS_FLOW : REPLIES_BY_FLOW))
		flow_key_of(&key, v, s->slot, inbound ? TO_DEVICE : FROM_DEVICE);
	if (!initiates) {
		if (v->kind & REPLIES_BY_FLOW) {
			now = bpf_ktime_get_boot_ns();
			flow = flow_of_reply(&key, now);
			if (!flow)
				return REASON_NO_FLOW;
		} else if (!(v->kind & REPLIES_BY_POLICY)) {
			return v->kind & UNKNOWN_PORTS ? REASON_FRAGMENT : REASON_NO_FLOW;
		}
	}
	o->bucket = bucket_of(inbound ? INBOUND_ROW + s->class : s->class, destination(&v->remote, s->version));
	if (!o->bucket)
		return REASON_NO_BUCKET;
	if (v->kind & UNKNOWN_PORTS)
		service = FRAGMENT_CLASS;
	else
		service = service_of(v->protocol, inbound ? v->device_port : v->remote_port);
	decision = decision_of(o->bucket, service);
	o->rule = decision >> VERDICT_BITS;
	o->verdict = decision & VERDICT_MASK;
	if (o->verdict == VERDICT_ALLOW)
		reason = REASON_PASS;
#if MFA
	else if (o->verdict == VERDICT_MFA)
		reason = session(device, s->direction);
#endif
	else if (o->verdict == VERDICT_DENY)
		reason = REASON_DENY_RULE;
	else
		reason = v->kind & UNKNOWN_PORTS ? REASON_FRAGMENT : REASON_NO_RULE;
	if (reason == REASON_PASS && flow)
		flow_seen(flow, now);
	if (reason == REASON_PASS && initiates && (v->kind & OPENS_FLOW))
		flow_open(&key);
	return reason;
}

COLD u32 consider_cold(struct outcome *o, const struct subject *s, const struct view *v, u32 inbound, u32 initiates)
{
	struct device *device;

	if (!o || !s || !v)
		return REASON_NO_DEVICE;
	device = bpf_map_lookup_elem(&devices, &s->slot);
	if (!device)
		return REASON_NO_DEVICE;
	return consider(o, s, device, v, inbound, initiates);
}

INLINE void view_of(struct view *v, const struct tuple *t, u32 direction)
{
	v->remote = direction == FROM_DEVICE ? t->destination : t->source;
	v->device_port = direction == FROM_DEVICE ? t->source_port : t->destination_port;
	v->remote_port = direction == FROM_DEVICE ? t->destination_port : t->source_port;
	v->protocol = t->protocol;
	v->kind = t->kind;
}

/* An ICMP error passes if the packet that it is about passed, the other way, and belongs to this device. */
INLINE u32 consider_inner(struct outcome *o, const struct subject *s, const struct address *own,
			  const struct tuple *inner)
{
	u32 back = s->direction == FROM_DEVICE ? TO_DEVICE : FROM_DEVICE;
	const struct address *end = s->direction == FROM_DEVICE ? &inner->destination : &inner->source;
	struct view v;
	u32 reason;

	if (own->high != end->high || own->low != end->low)
		return REASON_NO_FLOW;
	view_of(&v, inner, back);
	reason = consider_cold(o, s, &v, 0, 0);
#if INBOUND
	if (reason != REASON_PASS)
		reason = consider_cold(o, s, &v, 1, 0);
#endif
	return reason;
}

#if INBOUND
/* With both directions the frame of a program would outgrow the stack if any of this were inlined. */
INLINE u32 judge_from_device(struct outcome *o, const struct subject *s, struct device *device,
			     const struct packet *p, const struct tuple *inner)
{
	struct outcome answer = { .slot = s->slot };
	struct view v;
	u32 reason, answers;

	view_of(&v, &p->outer, FROM_DEVICE);
	reason = consider_cold(o, s, &v, 0, 1);
	if (reason == REASON_PASS)
		return REASON_PASS;
	/* Not by the user's policy: perhaps it answers what came in. */
	if (p->outer.kind & IS_ERROR)
		answers = consider_inner(&answer, s, &p->outer.source, inner);
	else
		answers = consider_cold(&answer, s, &v, 1, 0);
	if (answers != REASON_PASS)
		return reason;
	*o = answer;
	return REASON_PASS;
}

INLINE u32 judge_to_device(struct outcome *o, const struct subject *s, struct device *device,
			   const struct packet *p, const struct tuple *inner)
{
	struct outcome opening = { .slot = s->slot };
	struct view v;
	u32 reason, opens;

	view_of(&v, &p->outer, TO_DEVICE);
	if (p->outer.kind & IS_ERROR)
		reason = consider_inner(o, s, &p->outer.destination, inner);
	else
		reason = consider_cold(o, s, &v, 0, 0);
	if (reason == REASON_PASS)
		return REASON_PASS;
	opens = consider_cold(&opening, s, &v, 1, 1);
	/* Where the inbound policy has a bucket, that is the reason; where it has none, the reply's is. */
	if (opening.bucket || reason == REASON_NO_FLOW) {
		*o = opening;
		reason = opens == REASON_NO_BUCKET ? REASON_NO_FLOW : opens;
	}
	return reason;
}
#else
INLINE u32 judge_from_device(struct outcome *o, const struct subject *s, struct device *device,
			     const struct packet *p, const struct tuple *inner)
{
	struct outcome answer = { .slot = s->slot };
	struct subject subject;
	struct view v;
	u32 reason;

	view_of(&v, &p->outer, FROM_DEVICE);
	reason = consider(o, s, device, &v, 0, 1);
	if (reason == REASON_PASS || !(p->outer.kind & IS_ERROR))
		return reason;
	subject = *s;
	if (consider_inner(&answer, &subject, &p->outer.source, inner) != REASON_PASS)
		return reason;
	*o = answer;
	return REASON_PASS;
}

INLINE u32 judge_to_device(struct outcome *o, const struct subject *s, struct device *device,
			   const struct packet *p, const struct tuple *inner)
{
	struct outcome error = { .slot = s->slot };
	struct subject subject;
	struct view v;
	u32 reason;

	view_of(&v, &p->outer, TO_DEVICE);
	if (!(p->outer.kind & IS_ERROR))
		return consider(o, s, device, &v, 0, 0);
	subject = *s;
	reason = consider_inner(&error, &subject, &p->outer.destination, inner);
	*o = error;
	return reason;
}
#endif

INLINE u32 judge_packet(const struct packet *p, struct slow_packet *slow, struct outcome *o, u32 direction)
{
	struct subject s = { .version = p->version, .direction = direction };
	struct device *device;
	u32 *class;
	u32 reason;

	o->slot = s.slot = slot_of(direction == FROM_DEVICE ? &p->outer.source : &p->outer.destination, p->version);
	if (!s.slot)
		return REASON_NO_DEVICE;
	device = bpf_map_lookup_elem(&devices, &o->slot);
	if (!device || !device->subject)
		return REASON_NO_DEVICE;
	class = bpf_map_lookup_elem(&subject_class, &device->subject);
	if (!class || *class == NOBODY_CLASS)
		return REASON_NO_DEVICE;
	s.class = *class;
	if (direction == FROM_DEVICE)
		reason = judge_from_device(o, &s, device, p, &slow->inner);
	else
		reason = judge_to_device(o, &s, device, p, &slow->inner);
	if (reason == REASON_PASS && p->fragment == FIRST_FRAGMENT) {
		slow->packet = *p;
		fragment_passed(&slow->packet, direction);
	}
	return reason;
}
#endif

/* Decide a parsed packet, count it, and tell of a drop. Returns 1 if it may pass. */
INLINE int decide(int status, const struct packet *p, struct slow_packet *slow, u32 direction)
{
	struct outcome o = {};
	u32 reason = REASON_MALFORMED;

	if (status == LINK_LOCAL)
		return 1;
	if (status == NO_RULES)
		reason = direction == FROM_DEVICE ? REASON_NO_BUCKET : REASON_NO_FLOW;
#if IP
	if (status == PARSED)
		reason = judge_packet(p, slow, &o, direction);
#endif
	report(p, &o, direction, reason, &slow->packet);
	return reason == REASON_PASS;
}
