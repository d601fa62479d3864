"""From what the store says to what the kernel does: devices, peers, locks, sessions' ends, and the policy."""

from wardgate.gateway.enforcement.enforcer import Enforcer, NotEnforcedError
from wardgate.gateway.enforcement.policy import PolicyKeeper, Source
from wardgate.gateway.enforcement.problems import Problem, Problems
from wardgate.gateway.enforcement.threads import Worker
from wardgate.gateway.enforcement.tunnel import Tunnel
from wardgate.gateway.enforcement.world import Changes, World

__all__ = [
    "Changes",
    "Enforcer",
    "NotEnforcedError",
    "PolicyKeeper",
    "Problem",
    "Problems",
    "Source",
    "Tunnel",
    "Worker",
    "World",
]
