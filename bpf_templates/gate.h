/* The programs: one decision, three hooks.
 *
 * Each hook first tries the fast path, which lets common packets pass and never drops, then the slow one,
 * which decides any packet. Both are functions of their own: their frames would not fit the stack together. */

/* A tag that the hardware stripped leads the packet elsewhere than its address says. */
INLINE int is_tagged(struct __sk_buff *skb)
{
	return config.link_header && skb->vlan_present;
}

#if IP
COLD int fast_from_device(struct __sk_buff *skb)
{
	if (is_tagged(skb))
		return 0;
	return passes_fast((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end, skb->len, FROM_DEVICE);
}

COLD int fast_to_device(struct __sk_buff *skb)
{
	if (is_tagged(skb))
		return 0;
	return passes_fast((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end, skb->len, TO_DEVICE);
}

COLD int fast_xdp(struct xdp_md *context)
{
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;

	return passes_fast(data, end, end - data, FROM_DEVICE);
}
#endif

COLD int parse_skb(struct __sk_buff *skb, struct slow_packet *slow)
{
	if (!slow)
		return MALFORMED;
	return parse_slow((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end, skb->len, slow);
}

COLD int parse_xdp(struct xdp_md *context, struct slow_packet *slow)
{
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;

	if (!slow)
		return MALFORMED;
	return parse_slow(data, end, end - data, slow);
}

/* Decide a parsed packet, count it, and tell of a drop. Returns 1 if it may pass. */
INLINE int decide(int status, struct slow_packet *slow, u32 direction)
{
	struct outcome o = {};
	u32 reason = REASON_MALFORMED;

	if (status == LINK_LOCAL)
		return 1;
	if (status == NO_RULES)
		reason = direction == FROM_DEVICE ? REASON_NO_BUCKET : REASON_NO_FLOW;
#if IP
	if (status == PARSED) {
		if (slow->packet.fragment == LATER_FRAGMENT)
			fragment_complete(&slow->packet, direction);
		reason = judge(&o, slow, direction);
	}
#endif
	count_decision(&slow->packet, &o, direction, reason);
	if (reason != REASON_PASS || config.trace)
		send_event(&slow->packet, &o, direction, reason);
	return reason == REASON_PASS;
}

COLD int slow_skb(struct __sk_buff *skb, u32 direction)
{
	struct slow_packet slow = {};
	int status = parse_skb(skb, &slow);

	if (status == SHORT && !bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES)) {
		/* Headers were outside the linear part of the buffer, and now are in it. */
		slow = (struct slow_packet){};
		status = parse_skb(skb, &slow);
	}
	if (is_tagged(skb))
		status = MALFORMED;
	return decide(status, &slow, direction);
}

COLD int slow_xdp(struct xdp_md *context)
{
	struct slow_packet slow = {};

	return decide(parse_xdp(context, &slow), &slow, FROM_DEVICE);
}

SEC("tc")
int gate_ingress(struct __sk_buff *skb)
{
#if IP
	if (fast_from_device(skb))
		return TC_PASS;
#endif
	return slow_skb(skb, FROM_DEVICE) ? TC_PASS : TC_DROP;
}

SEC("tc")
int gate_egress(struct __sk_buff *skb)
{
#if IP
	if (fast_to_device(skb))
		return TC_PASS;
#endif
	return slow_skb(skb, TO_DEVICE) ? TC_PASS : TC_DROP;
}

SEC("xdp")
int gate_xdp(struct xdp_md *context)
{
#if IP
	if (fast_xdp(context))
		return XDP_PASS;
#endif
	return slow_xdp(context) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
