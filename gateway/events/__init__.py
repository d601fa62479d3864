"""What happens in a gateway, told to whoever listens now."""

from wardgate.gateway.events.bus import KINDS, Bus, Event, Lost

__all__ = ["KINDS", "Bus", "Event", "Lost"]
