"""The API's documents: what requests have, and what of the gateway's records is shown.

Unknown fields are refused, and nothing is taken for something else: `"1"` is not 1. What makes a name, a key
or an address is said by the part whose it is; here is only how long a text may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.plans import Plan
from wardgate.gateway.control.views import DeviceSession, PolicyInForce
from wardgate.gateway.records import Device, Policy, Token, User

Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Few = Annotated[list[Text], Field(max_length=100)]

Name = Annotated[
    str, Path(min_length=1, max_length=255, pattern="^[A-Za-z0-9][A-Za-z0-9._@+:-]*$", examples=["alice"])
]
"""A user's name, or an id, in a path."""
Number = Annotated[int | None, Query(ge=1, lt=1 << 32)]


class Document(BaseModel):
    """Of either direction."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, from_attributes=True)


class NewUser(Document):
    """A user to add. `groups`: as `group:NAME`."""

    name: Text
    groups: Few = Field(default=[])


class Membership(Document):
    """A group to join or to leave, as `group:NAME`."""

    group: Text


class NewDevice(Document):
    """A device to add. `public_key`: base64. `addresses`: tunnel addresses, none for free ones. `preshared`:
    make a preshared key for it. `keepalive`: seconds."""

    user: Text
    name: Text
    public_key: Text
    addresses: Few = Field(default=[])
    preshared: bool = True
    keepalive: Annotated[int, Field(ge=1, le=65_535)] | None = None


class NewName(Document):
    """What a device is called from now on."""

    name: Text


class NewKey(Document):
    """A device's public key from now on, in base64."""

    public_key: Text


class NewToken(Document):
    """A token to issue. `lifetime`: seconds, a year at most. `replaces`: the id of a device whose key it may
    replace, instead of adding a device."""

    user: Text
    uses: Annotated[int, Field(ge=1, le=10_000)] = 1
    lifetime: Annotated[int, Field(ge=1, le=366 * 86_400)] = 86_400
    groups: Few = Field(default=[])
    addresses: Few = Field(default=[])
    replaces: Text | None = None


class PolicyBundle(Document):
    """A policy's files: names relative to the main file's folder, and texts."""

    main: Annotated[str, StringConstraints(min_length=1, max_length=1_024)]
    files: Mapping[str, str]

    def bundle(self) -> Bundle:
        """As the gateway takes it; InvalidError."""
        return Bundle(self.main, self.files)


class PlanRequest(Document):
    """A policy to look at."""

    bundle: PolicyBundle


class ApplyRequest(Document):
    """A policy to bring into force, and the `digest` of the plan that was looked at."""

    bundle: PolicyBundle
    plan_digest: Digest


class RollbackRequest(Document):
    """`number`: that of the policy in force, which is left."""

    number: Annotated[int, Field(ge=1, lt=1 << 32)]


class DeviceDocument(Document):
    """A device, without its preshared key."""

    id: str
    user: str
    name: str
    public_key: str
    addresses: tuple[str, ...]
    preshared: bool
    keepalive: int | None
    locked: bool
    created: int

    @classmethod
    def of(cls, device: Device) -> Self:
        """Of the record."""
        return cls(
            id=device.id,
            user=device.user,
            name=device.name,
            public_key=device.public_key,
            addresses=device.addresses,
            preshared=device.preshared_key is not None,
            keepalive=device.keepalive,
            locked=device.locked,
            created=device.created,
        )


class Configuration(Document):
    """`text`: in wg-quick form, without the private key, which only the device has."""

    device: DeviceDocument
    text: str


class TokenDocument(Document):
    """A token, without its secret."""

    id: str
    user: str
    groups: tuple[str, ...]
    addresses: tuple[str, ...]
    replaces: str | None
    uses: int
    expires: int
    created: int
    created_by: str

    @classmethod
    def of(cls, token: Token) -> Self:
        """Of the record."""
        fields = asdict(token)
        del fields["digest"]
        return cls(**fields)


class IssuedToken(Document):
    """A new token. `text` is what its user is given: a secret, which is shown this once. `link`: the
    enrolment page with the token in it, as much of a secret; empty where there is no page."""

    token: TokenDocument
    text: str
    link: str


class SessionDocument(Document):
    """A device and its session; see views.DeviceSession."""

    device: DeviceDocument
    state: str
    remaining: float | None
    idle_limit: float | None
    login_age: float | None
    method: str
    endpoint: str

    @classmethod
    def of(cls, session: DeviceSession) -> Self:
        """Of what the kernel has."""
        return cls(
            device=DeviceDocument.of(session.device),
            state=session.state,
            remaining=session.remaining,
            idle_limit=session.idle_limit,
            login_age=session.login_age,
            method=session.method,
            endpoint=session.endpoint,
        )


class PolicyDocument(Document):
    """A policy that is or was in force."""

    number: int
    main: str
    names: tuple[str, ...]
    digest: str
    applied: int
    by: str

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Of the record."""
        return cls(
            number=policy.number,
            main=policy.main,
            names=policy.files,
            digest=policy.digest,
            applied=policy.applied,
            by=policy.by,
        )


class PolicyWithFiles(PolicyDocument):
    """The same, with the text of each file. `current`: it is in force."""

    current: bool
    files: Mapping[str, str]

    @classmethod
    def shown(cls, found: PolicyInForce) -> Self:
        """Of what the gateway has."""
        known = PolicyDocument.of(found.policy).model_dump()
        return cls(**known, current=found.current, files=found.files)


class PlanDocument(Document):
    """What applying a policy would do; see compiling.plans.Plan."""

    digest: str
    base: int
    ok: bool
    widens: bool
    diagnostics: tuple[Mapping[str, Any], ...]
    diagnostics_text: str
    difference: Mapping[str, Any] | None
    difference_text: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Of the plan."""
        return cls(
            digest=plan.digest,
            base=plan.base,
            ok=plan.ok,
            widens=plan.widens,
            diagnostics=plan.diagnostics,
            diagnostics_text=plan.diagnostics_text,
            difference=plan.difference,
            difference_text=plan.difference_text,
        )


class UserList(RootModel[list[User]]):
    """All users, by name."""


class DeviceList(RootModel[list[DeviceDocument]]):
    """Devices."""


class SessionList(RootModel[list[SessionDocument]]):
    """Each device and its session."""


class Done(Document):
    """It was done."""

    ok: bool = True


class FailureDocument(Document):
    """Why something was not done: the operation, what it was about, the cause, and what to do. `kind` is
    for programs: `invalid`, `denied`, `not-found`, `exists`, `refused`, `policy`, `stale-plan`,
    `too-large`, `busy`, `unavailable`, `corrupt` or `internal`. `diagnostics`: what is wrong with a
    policy."""

    ok: bool = False
    kind: str
    operation: str
    target: str
    cause: str
    remedy: str
    diagnostics: tuple[Mapping[str, Any], ...] = ()
