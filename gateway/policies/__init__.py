"""Policies that were applied: looking at them, planning a change, making it, and going back."""

from wardgate.gateway.policies.policies import Policies
from wardgate.gateway.policies.stored import StoredPolicies

__all__ = ["Policies", "StoredPolicies"]
