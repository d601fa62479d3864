/* Ends the session of a peer that sends from another endpoint than it was granted for, inside the kernel.
 *
 * WireGuard calls wg_socket_set_peer_endpoint for every packet that it has authenticated and decrypted,
 * before it gives the packet to the network stack, and so to the gate; and for endpoints that are configured.
 * It calls wg_socket_set_peer_endpoint_from_skb for every handshake message that it accepts; the compiler may
 * have put the other function into it.
 *
 * What a packet's endpoint is compared with is what the session was granted for, and not the one that the
 * peer has at the moment: so it does not matter whether every change before was seen, and a session that is
 * granted while its peer moves ends with the next packet. */

enum {
	/* REJECT_AFTER_TIME of WireGuard: no packet is accepted with older keys. */
	KEYS_LAST = 180,
};
#define SECONDS(n) ((n) * 1000000000ULL)

/* struct sockaddr_in and struct sockaddr_in6 (include/uapi/linux/in.h, in6.h). */
struct socket_address {
	u16 family;
	u16 port;
	u32 address4;
	u64 high6, low6;
};

/* False for what WireGuard does not take for an endpoint either. */
INLINE int remote_at(struct remote *r, u64 place)
{
	struct socket_address a = {};

	if (bpf_probe_read_kernel(&a, sizeof(a), place))
		return 0;
	if (a.family == FAMILY_IPV4)
		set_remote4(r, a.address4, a.port);
	else if (a.family == FAMILY_IPV6)
		set_remote6(r, a.high6, a.low6, a.port);
	else
		return 0;
	return 1;
}

/* The sender of a packet that WireGuard has received. */
INLINE int sender_of(struct remote *r, u64 packet)
{
	u64 head = 0, address6[2] = {};
	u16 network = 0, transport = 0, port = 0;
	u32 address4 = 0;
	u8 version = 0;

	bpf_probe_read_kernel(&head, sizeof(head), packet + kernel.packet_head);
	bpf_probe_read_kernel(&network, sizeof(network), packet + kernel.packet_network);
	bpf_probe_read_kernel(&transport, sizeof(transport), packet + kernel.packet_transport);
	bpf_probe_read_kernel(&version, sizeof(version), head + network);
	bpf_probe_read_kernel(&port, sizeof(port), head + transport);
	if (version >> 4 == 4) {
		bpf_probe_read_kernel(&address4, sizeof(address4), head + network + 12);
		set_remote4(r, address4, port);
		return 1;
	}
	bpf_probe_read_kernel(address6, sizeof(address6), head + network + 8);
	set_remote6(r, address6[0], address6[1], port);
	return version >> 4 == 6;
}

/* Whether the peer is one of the gateway's own device. Another device on this machine may have a peer of the
 * same key, in this or another network namespace, but not the gateway's key as its own. */
INLINE int is_ours(u64 peer)
{
	u64 device = 0, own[4] = {};
	const volatile u64 *wanted = (const volatile u64 *)kernel.own_key;

	bpf_probe_read_kernel(&device, sizeof(device), peer + kernel.peer_device);
	bpf_probe_read_kernel(own, sizeof(own), device + kernel.device_key);
	return !(own[0] ^ wanted[0] | own[1] ^ wanted[1] | own[2] ^ wanted[2] | own[3] ^ wanted[3]);
}

/* Ends a session: by one store, which a packet is judged by or not. True where there was one. */
INLINE int end_session(u32 slot)
{
	struct device *device = bpf_map_lookup_elem(&devices, &slot);

	if (!device || !READ_ONCE(device->deadline))
		return 0;
	return __sync_lock_test_and_set(&device->deadline, 0) != 0;
}

INLINE void tell(const struct peer_key *key, const struct watched *session, const struct remote *now_at)
{
	struct roamed event = {};
	struct lost *lost;
	u32 only = 0;

	__builtin_memcpy(event.key, key->key, sizeof(event.key));
	__builtin_memcpy(event.old, session->granted, sizeof(event.old));
	__builtin_memcpy(event.new, now_at->words, sizeof(event.new));
	event.time = bpf_ktime_get_boot_ns();
	if (!bpf_ringbuf_output(&changes, &event, sizeof(event), 0))
		return;
	lost = bpf_map_lookup_elem(&lost_events, &only);
	if (lost)
		__sync_fetch_and_add(&lost->events, 1);
}

INLINE int may_send_from(const struct watched *session, const struct remote *now_at)
{
	return same(now_at, session->granted) || same(now_at, session->expected);
}

/* Whether keys are in use that were agreed on from somewhere else than the session was granted for. */
INLINE int has_other_keys(const struct peer_key *key, const struct watched *session)
{
	struct handshake *last = bpf_map_lookup_elem(&handshakes, key);

	if (!last || bpf_ktime_get_boot_ns() - last->time > SECONDS(KEYS_LAST))
		return 0;
	return !same((const struct remote *)last->remote, session->granted);
}

/* A packet of a peer comes from `endpoint`, a struct endpoint. */
INLINE void packet_from(u64 peer, u64 endpoint)
{
	struct peer_key key = {};
	struct watched *session;
	struct remote now_at;

	bpf_probe_read_kernel(&key, sizeof(key), peer + kernel.peer_key);
	session = bpf_map_lookup_elem(&peers, &key);
	if (!session || !remote_at(&now_at, endpoint) || may_send_from(session, &now_at) || !is_ours(peer))
		return;
	if (kernel.by_handshake && !has_other_keys(&key, session))
		return;
	if (end_session(session->slot))
		tell(&key, session, &now_at);
}

SEC("fentry/wg_socket_set_peer_endpoint")
int on_packet(u64 *arguments)
{
	packet_from(arguments[0], arguments[1]);
	return 0;
}

/* WireGuard accepted `packet`, a struct sk_buff, as a handshake of the peer's. */
INLINE void handshake_by(u64 peer, u64 packet)
{
	struct handshake here = {};
	struct peer_key key = {};
	struct watched *session;
	struct remote now_at, before;

	bpf_probe_read_kernel(&key, sizeof(key), peer + kernel.peer_key);
	session = bpf_map_lookup_elem(&peers, &key);
	if (!sender_of(&now_at, packet) || (session && may_send_from(session, &now_at)) || !is_ours(peer))
		return;
	if (kernel.by_handshake) {
		/* A peer that moved with the keys that it had may agree on new ones where it is. */
		if (remote_at(&before, peer + kernel.peer_endpoint) && same(&now_at, before.words))
			return;
		__builtin_memcpy(here.remote, now_at.words, sizeof(here.remote));
		here.time = bpf_ktime_get_boot_ns();
		bpf_map_update_elem(&handshakes, &key, &here, BPF_ANY);
	}
	if (session && end_session(session->slot))
		tell(&key, session, &now_at);
}

SEC("fentry/wg_socket_set_peer_endpoint_from_skb")
int on_handshake(u64 *arguments)
{
	handshake_by(arguments[0], arguments[1]);
	return 0;
}
