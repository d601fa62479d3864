/* The decision: device, policy class, bucket, rule, session, and whether it is a reply. */

/* Whose packet it is, and which way it goes. */
struct subject {
	u32 slot;
	u32 class;
	u32 version;
	u32 direction;
};

COLD int view_of(struct view *v, const struct tuple *t, u32 direction)
{
	if (!v || !t)
		return 0;
	v->remote = direction == FROM_DEVICE ? t->destination : t->source;
	v->device_port = direction == FROM_DEVICE ? t->source_port : t->destination_port;
	v->remote_port = direction == FROM_DEVICE ? t->destination_port : t->source_port;
	v->protocol = t->protocol;
	v->kind = t->kind;
	return 0;
}

/* The device that a packet comes from or goes to, and its user's policy class; 0: none that may anything. */
INLINE int subject_of(const struct packet *p, u32 direction, struct subject *s)
{
	u64 owner = owner_of(direction == FROM_DEVICE ? &p->outer.source : &p->outer.destination, p->version);

	s->version = p->version;
	s->direction = direction;
	s->slot = owner;
	if (!s->slot)
		return 0;
	s->class = class_of(owner >> 32);
	return s->class != NOBODY_CLASS;
}

#if MFA
#if WITHIN
COLD u32 session_of(u32 slot, u32 direction, u32 decision)
{
	struct processor *cpu = this_cpu();

	return cpu ? session(slot, direction, decision, cpu) : REASON_NO_DEVICE;
}
#else
COLD u32 session_of(u32 slot, u32 direction)
{
	struct processor *cpu = this_cpu();

	return cpu ? session(slot, direction, 0, cpu) : REASON_NO_DEVICE;
}
#endif

#endif
/* What one side of the policy says of a packet: PASS, or the reason against it.
 *
 * A packet that the side's own initiator sent is judged as it is. One that goes the other way passes
 * only as a reply, and is judged by what the side says of the packets that it replies to: so a reply
 * stops when what it replies to would. */
COLD u32 consider(struct outcome *o, const struct subject *s, const struct view *v, u32 inbound, u32 initiates)
{
	struct flow_words words;
	struct processor *cpu = this_cpu();
	u32 row, service, reason, by_flow;
	u64 found, now;

	if (!o || !s || !v || !cpu)
		return REASON_NO_DEVICE;
	now = clock(cpu);
	o->bucket = o->rule = o->verdict = 0;
	o->inbound = inbound;
	flow_words_of(&words, v, inbound ? TO_DEVICE : FROM_DEVICE);
	by_flow = v->kind & (initiates ? OPENS_FLOW : REPLIES_BY_FLOW);
	if (!initiates && (by_flow ? !flow_known(words.remote[0], words.remote[1], words.rest, s->slot, now) :
				     !(v->kind & REPLIES_BY_POLICY)))
		return v->kind & UNKNOWN_PORTS ? REASON_FRAGMENT : REASON_NO_FLOW;
	row = s->class;
#if INBOUND
	if (inbound)
		row += INBOUND_ROW;
#endif
	service = v->protocol << 16 | (inbound ? v->device_port : v->remote_port);
	if (v->kind & UNKNOWN_PORTS)
		service = ANY_SERVICE;
	found = look_up(v->remote.high, v->remote.low, s->version, row, service);
	o->bucket = found >> 32;
	o->rule = (u32)found >> RULE_SHIFT;
	o->verdict = found & VERDICT_MASK;
	if (!o->bucket)
		return REASON_NO_BUCKET;
	if (o->verdict == VERDICT_DENY)
		return REASON_DENY_RULE;
	reason = REASON_PASS;
#if MFA
	if (o->verdict == VERDICT_MFA)
#if WITHIN
		reason = session_of(s->slot, s->direction, found);
#else
		reason = session_of(s->slot, s->direction);
#endif
	else
#endif
	if (o->verdict != VERDICT_ALLOW)
		reason = v->kind & UNKNOWN_PORTS ? REASON_FRAGMENT : REASON_NO_RULE;
	if (reason == REASON_PASS && by_flow)
		flow_keep(words.remote[0], words.remote[1], words.rest, s->slot, now);
	return reason;
}
