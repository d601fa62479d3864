/* The clock of sessions and flows: CLOCK_BOOTTIME, which userspace has too, read once a tick.
 *
 * Reading it costs as much as a whole decision, while the tick counter is a variable of the kernel's. So a
 * CPU reads the clock when the tick has changed since it last did, and is late by a tick at most (1 to 10
 * ms). Ticks stop while the machine is suspended, the clock does not: the first packet in a later tick sees
 * the time that has passed. Each CPU has its own reading, so that no two programs write one at once. */

INLINE struct processor *this_cpu(void)
{
	u32 only = 0;

	return bpf_map_lookup_elem(&processors, &only);
}

INLINE u64 clock(struct processor *cpu)
{
	u64 tick = bpf_jiffies64();
	u64 now;

	if (cpu->tick == tick)
		return cpu->now;
	now = bpf_ktime_get_boot_ns();
	cpu->now = now;
	WRITE_ONCE(cpu->tick, tick);
	return now;
}
