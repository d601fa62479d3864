/* What the detector inside WireGuard costs a packet: its own code, on a peer that is made up in a map. */

SEC("tc") int bench_packet(struct __sk_buff *skb)
{
	struct made_up *peer;
	u32 only = 0;

	peer = bpf_map_lookup_elem(&made_up, &only);
	if (!peer)
		return TC_DROP;
	packet_from((u64)peer, (u64)peer + kernel.peer_endpoint);
	return TC_PASS;
}

SEC("tc") int bench_nothing(struct __sk_buff *skb)
{
	return TC_PASS;
}
