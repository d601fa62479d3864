/* The programs: one decision, three hooks.
 *
 * Each hook first tries the fast path, which lets common packets pass and never drops, then the slow one,
 * which decides any packet. The fast path is part of the program itself, since a call costs: with
 * mitigations against speculation, a return takes as long as a load from the second cache. */

/* A tag that the hardware stripped leads the packet elsewhere than its address says. */
INLINE int is_tagged(struct __sk_buff *skb)
{
	return config.link_header && skb->vlan_present;
}

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

/* Always 0, which the compiler does not know. The verifier keeps what it knows at a place, to leave out what
 * it has seen, only where there were jumps since it last did (is_state_visited in kernel/bpf/verifier.c).
 * Dozens of paths give up the fast path for the slow one; a jump there makes them one. */
INLINE int never(void)
{
	int zero = 0;

	asm volatile("" : "+r"(zero));
	return zero;
}

INLINE int slow_skb(struct __sk_buff *skb, u32 direction)
{
	struct slow_packet slow;
	int status;

	if (never())
		return 0;
	slow = (struct slow_packet){};
	status = parse_skb(skb, &slow);
	if (status == SHORT && !bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES)) {
		/* Headers were outside the linear part of the buffer, and now are in it. */
		slow = (struct slow_packet){};
		status = parse_skb(skb, &slow);
	}
	if (is_tagged(skb))
		status = MALFORMED;
	return decide(&slow, status, direction);
}

INLINE int slow_xdp(struct xdp_md *context)
{
	struct slow_packet slow;

	if (never())
		return 0;
	slow = (struct slow_packet){};
	return decide(&slow, parse_xdp(context, &slow), FROM_DEVICE);
}

#if IP
/* The version of the IP packet behind the link header, which is stepped over; 0: none to be seen. */
INLINE u32 strip_link_fast(u8 **data, u8 *end, u32 *total)
{
	struct ethernet_header *link = (void *)*data;

	if (!config.link_header)
		return *data + 1 > end ? 0 : **data >> 4;
	if (*data + ETHERNET_HEADER > end)
		return 0;
	*data += ETHERNET_HEADER;
	*total -= ETHERNET_HEADER;
	return link->type == from_network16(ETHERTYPE_IPV4) ? 4 : link->type == from_network16(ETHERTYPE_IPV6) ? 6 : 0;
}

/* Whether the packet is a common one that may pass; if so, it is counted. */
INLINE int passes_fast(u8 *data, u8 *end, u32 total, u32 direction, struct fast_outcome *o)
{
	u32 version = strip_link_fast(&data, end, &total);
#if V4

	if (version == 4)
		return fast4(data, end, total, direction, o);
#endif
#if V6

	if (version == 6)
		return fast6(data, end, total, direction, o);
#endif
	return 0;
}

/* Tell of a packet that passed; parsed again, so that the fast path needs no memory for it. */
COLD int tell_skb(struct __sk_buff *skb, u32 slot, u32 bucket, u32 decision, u32 direction)
{
	struct outcome o = fast_told(slot, bucket, decision);
	struct slow_packet slow = {};

	return parse_skb(skb, &slow) == PARSED ? send_event(&slow.packet, &o, direction, REASON_PASS) : 0;
}

COLD int tell_xdp(struct xdp_md *context, u32 slot, u32 bucket, u32 decision)
{
	struct outcome o = fast_told(slot, bucket, decision);
	struct slow_packet slow = {};

	return parse_xdp(context, &slow) == PARSED ? send_event(&slow.packet, &o, FROM_DEVICE, REASON_PASS) : 0;
}

INLINE int fast_skb(struct __sk_buff *skb, u32 direction)
{
	u8 *data = (u8 *)(unsigned long)skb->data;
	u8 *end = (u8 *)(unsigned long)skb->data_end;
	struct fast_outcome o;

	if (is_tagged(skb) || !passes_fast(data, end, skb->len, direction, &o))
		return 0;
	if (config.trace)
		tell_skb(skb, o.slot, o.bucket, o.decision, direction);
	return 1;
}

INLINE int fast_xdp(struct xdp_md *context)
{
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;
	struct fast_outcome o;

	if (!passes_fast(data, end, end - data, FROM_DEVICE, &o))
		return 0;
	if (config.trace)
		tell_xdp(context, o.slot, o.bucket, o.decision);
	return 1;
}
#endif

SEC("tc")
int gate_ingress(struct __sk_buff *skb)
{
#if IP
	if (fast_skb(skb, FROM_DEVICE))
		return TC_PASS;
#endif
	return slow_skb(skb, FROM_DEVICE) ? TC_PASS : TC_DROP;
}

SEC("tc")
int gate_egress(struct __sk_buff *skb)
{
#if IP
	if (fast_skb(skb, TO_DEVICE))
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
