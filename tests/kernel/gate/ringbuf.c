/* Commands in the first bytes of the packet: what to do with the ring buffer. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))

static long (*ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;
static void *(*ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*boot_ns)(void) = (void *)125;

struct {
	int (*type)[27];
	int (*max_entries)[4096];
} ring SEC(".maps");

struct xdp_md {
	u32 data;
	u32 data_end;
};

const char licence[] SEC("license") = "Dual MIT/GPL";

/* 0: output packet[2..] of packet[1] bytes; 1: reserve 40 bytes and discard; 2: reserve 16 bytes, be
 * busy for a while, submit. */
SEC("xdp") int talk(struct xdp_md *xdp)
{
	u8 *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	if (data + 66 > end)
		return -1;
	if (data[0] == 0) {
		u32 size = data[1];
		if (size > 64)
			return -2;
		u8 sample[64];
		__builtin_memcpy(sample, data + 2, sizeof(sample));
		return ringbuf_output(&ring, sample, size, 0);
	}
	u64 *place;
	if (data[0] == 1) {
		place = ringbuf_reserve(&ring, 40, 0);
		if (!place)
			return -3;
		ringbuf_discard(place, 0);
		return 0;
	}
	place = ringbuf_reserve(&ring, 16, 0);
	if (!place)
		return -3;
	place[0] = 0x1122334455667788;
	for (u32 i = 0; i < 20000; i++)
		place[1] = boot_ns() + boot_ns() + boot_ns() + boot_ns() + boot_ns() + boot_ns();
	ringbuf_submit(place, 0);
	return 0;
}
