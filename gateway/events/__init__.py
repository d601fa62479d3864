"""What happens in a gateway, told to whoever listens now."""

from wardgate.gateway.events.bus import Bus, Event, Lost

__all__ = ["Bus", "Event", "Lost"]
