/* (e) The program that decides nothing: what is subtracted from all others. */

#if XDP
SEC("xdp")
int decide(struct xdp_md *context)
{
	return context ? XDP_PASS : XDP_DROP;
}
#else
SEC("tc")
int decide(struct __sk_buff *skb)
{
	return skb ? TC_PASS : TC_DROP;
}
#endif

char LICENSE[] SEC("license") = "Dual MIT/GPL";
