/* The programs: one decision, three hooks. */

/* The common packet in registers; any other by the slow path, in memory. */
INLINE int parse(u8 *data, u8 *end, u32 total, struct packet *p)
{
	struct cursor c = { .data = data, .end = end, .total = total };

	if (strip_link(&c) != PARSED)
		return UNUSUAL;
	return parse_fast(&c, p);
}

/* Any packet, pulling headers into the linear part of the buffer if need be. */
COLD int parse_skb(struct __sk_buff *skb, struct slow_packet *slow, u32 direction)
{
	int status;

	if (!slow)
		return MALFORMED;
	status = parse_slow((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end, skb->len, slow);
	if (status == PARSED && slow->packet.fragment == LATER_FRAGMENT)
		fragment_complete(&slow->packet, direction);
	return status;
}

COLD int parse_xdp(struct xdp_md *context, struct slow_packet *slow)
{
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;
	int status;

	if (!slow)
		return MALFORMED;
	status = parse_slow(data, end, end - data, slow);
	if (status == PARSED && slow->packet.fragment == LATER_FRAGMENT)
		fragment_complete(&slow->packet, FROM_DEVICE);
	return status;
}

INLINE int filter(struct __sk_buff *skb, u32 direction)
{
	struct slow_packet slow = {};
	struct packet p = {};
	int status = parse((u8 *)(unsigned long)skb->data, (u8 *)(unsigned long)skb->data_end, skb->len, &p);

	if (status == UNUSUAL) {
		status = parse_skb(skb, &slow, direction);
		if (status == SHORT && !bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES)) {
			slow = (struct slow_packet){};
			status = parse_skb(skb, &slow, direction);
		}
		p = slow.packet;
	}
	/* A tag that the hardware stripped leads the packet elsewhere than its address says. */
	if (config.link_header && skb->vlan_present)
		status = MALFORMED;
	return decide(status, &p, &slow, direction) ? TC_PASS : TC_DROP;
}

SEC("tc")
int gate_ingress(struct __sk_buff *skb)
{
	return filter(skb, FROM_DEVICE);
}

SEC("tc")
int gate_egress(struct __sk_buff *skb)
{
	return filter(skb, TO_DEVICE);
}

SEC("xdp")
int gate_xdp(struct xdp_md *context)
{
	struct slow_packet slow = {};
	struct packet p = {};
	u8 *data = (u8 *)(unsigned long)context->data;
	u8 *end = (u8 *)(unsigned long)context->data_end;
	int status = parse(data, end, end - data, &p);

	if (status == UNUSUAL) {
		status = parse_xdp(context, &slow);
		p = slow.packet;
	}
	return decide(status, &p, &slow, FROM_DEVICE) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
