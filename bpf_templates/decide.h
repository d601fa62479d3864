/* The decision: device, policy class, bucket, rule, session, and whether it is a reply. */

/* Whose packet it is, and which way it goes. */
struct subject {
	u32 slot;
	u32 class;
	u32 version;
	u32 direction;
};

INLINE void view_of(struct view *v, const struct tuple *t, u32 direction)
{
	v->remote = direction == FROM_DEVICE ? t->destination : t->source;
	v->device_port = direction == FROM_DEVICE ? t->source_port : t->destination_port;
	v->remote_port = direction == FROM_DEVICE ? t->destination_port : t->source_port;
	v->protocol = t->protocol;
	v->kind = t->kind;
}

/* The device that a packet comes from or goes to, and its user's policy class; NULL: none that may anything. */
INLINE struct device *device_of(const struct packet *p, u32 direction, struct subject *s)
{
	struct device *device;
	u32 *class;

	s->version = p->version;
	s->direction = direction;
	s->slot = slot_of(direction == FROM_DEVICE ? &p->outer.source : &p->outer.destination, p->version);
	if (!s->slot)
		return NULL;
	device = bpf_map_lookup_elem(&devices, &s->slot);
	if (!device || !device->subject)
		return NULL;
	class = bpf_map_lookup_elem(&subject_class, &device->subject);
	if (!class || *class == NOBODY_CLASS)
		return NULL;
	s->class = *class;
	return device;
}

/* What one side of the policy says of a packet: PASS, or the reason against it.
 *
 * A packet that the side's own initiator sent is judged as it is. One that goes the other way passes
 * only as a reply, and is judged by what the side says of the packets that it replies to: so a reply
 * stops when what it replies to would. */
INLINE u32 consider(struct outcome *o, const struct subject *s, struct device *device, const struct view *v,
		    u32 inbound, u32 initiates, int hot)
{
	struct question question;
	struct found found;
	struct flow_key key;
	u32 reason;
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
	question = (struct question){
		.remote = v->remote,
		.row = s->class,
		.version = s->version,
		.protocol = v->protocol,
		.port = inbound ? v->device_port : v->remote_port,
		.kind = v->kind,
	};
#if INBOUND
	if (inbound)
		question.row += INBOUND_ROW;
#endif
	found = hot ? look_up(&question) : unpacked(look_up_cold(&question));
	o->bucket = found.bucket;
	if (!o->bucket)
		return REASON_NO_BUCKET;
	o->rule = found.decision >> VERDICT_BITS;
	o->verdict = found.decision & VERDICT_MASK;
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
