"""What a gateway's store holds: records, the keys that they lie under, and their JSON.

`kinds` names every kind of record, and is the one place that knows a key. A record is a frozen dataclass of
texts, numbers, truth values and tuples; its JSON has exactly its fields, and anything else is an error.
"""

from wardgate.gateway.records.kinds import (
    ADDRESSES,
    APPLIED,
    AUDIT,
    AUDIT_HEAD,
    CREDENTIALS,
    DEVICE_NAMES,
    DEVICES,
    LOCKOUTS,
    POLICIES,
    POLICY_PARTS,
    POSED,
    PUBLIC_KEYS,
    RECOVERY,
    SESSIONS,
    TOKENS,
    USERS,
    Kind,
    Record,
)
from wardgate.gateway.records.people import (
    Credential,
    Device,
    Failures,
    Holder,
    Lockout,
    Posed,
    Recovery,
    Session,
    Token,
    User,
)
from wardgate.gateway.records.policies import Applied, Policy, PolicyPart
from wardgate.gateway.records.trail import AuditEntry, AuditHead

__all__ = [
    "ADDRESSES",
    "APPLIED",
    "AUDIT",
    "AUDIT_HEAD",
    "CREDENTIALS",
    "DEVICES",
    "DEVICE_NAMES",
    "LOCKOUTS",
    "POLICIES",
    "POLICY_PARTS",
    "POSED",
    "PUBLIC_KEYS",
    "RECOVERY",
    "SESSIONS",
    "TOKENS",
    "USERS",
    "Applied",
    "AuditEntry",
    "AuditHead",
    "Credential",
    "Device",
    "Failures",
    "Holder",
    "Kind",
    "Lockout",
    "Policy",
    "PolicyPart",
    "Posed",
    "Record",
    "Recovery",
    "Session",
    "Token",
    "User",
]
