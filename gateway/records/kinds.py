"""Every kind of record: where it lies in the store, and how it is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from wardgate.gateway.errors import CorruptError
from wardgate.gateway.records.people import (
    Credential,
    Device,
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
from wardgate.gateway.store.keys import name_of, segment
from wardgate.runtime.layout import typed_json


class Record(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=Record)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Records of one kind: all keys begin with `prefix`, the rest are names, one or more."""

    prefix: str
    record: type[T]

    def key(self, *names: str) -> str:
        """The key of a record; InvalidKeyError where a name is empty."""
        return self.prefix + "/".join(map(segment, names))

    def names(self, key: str) -> tuple[str, ...]:
        """What `key` was made of."""
        return tuple(map(name_of, key.removeprefix(self.prefix).split("/")))

    def encode(self, record: T) -> bytes:
        """The stored form."""
        document = asdict(record)
        return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def decode(self, key: str, value: bytes) -> T:
        """The record that is stored so; CorruptError where it is not one."""
        try:
            return typed_json.read(self.record, json.loads(value))
        except (ValueError, RecursionError) as error:
            # The value is not shown: it may be a secret.
            cause = error if isinstance(error, typed_json.MismatchError) else "it is no JSON"
            raise CorruptError(
                "read store",
                key,
                f"{self.record.__name__} was written by another release, or damaged: {cause}",
                "upgrade this node, or restore the store from a backup",
            ) from None


USERS: Final = Kind("users/", User)
"""By the user's name."""
DEVICES: Final = Kind("devices/", Device)
"""By the device's id."""
DEVICE_NAMES: Final = Kind("device-names/", Holder)
"""By the user's name and the device's: which of the user's devices is called so."""
ADDRESSES: Final = Kind("addresses/", Holder)
"""By the tunnel address in its usual form: that a device has it."""
PUBLIC_KEYS: Final = Kind("keys/", Holder)
"""By the public key in base64."""
TOKENS: Final = Kind("tokens/", Token)
"""By the token's id, which is the part of it that is no secret."""
SESSIONS: Final = Kind("sessions/", Session)
"""By the device's id."""
CREDENTIALS: Final = Kind("credentials/", Credential)
"""By the user's name and the method's."""
RECOVERY: Final = Kind("recovery/", Recovery)
"""By the user's name."""
LOCKOUTS: Final = Kind("lockouts/", Lockout)
"""By the user's name."""
POSED: Final = Kind("posed/", Posed)
"""By the device's id: one question at a time."""
POLICIES: Final = Kind("policies/", Policy)
"""By the policy's number, in ten digits."""
POLICY_PARTS: Final = Kind("policy-parts/", PolicyPart)
"""By the policy's number and the part's, from 0, each in ten digits."""
APPLIED: Final = Kind("applied/", Applied)
"""One record, `policy`."""
AUDIT: Final = Kind("audit/", AuditEntry)
"""By the entry's number, in sixteen digits."""
AUDIT_HEAD: Final = Kind("audit-head/", AuditHead)
"""One record, `head`."""
