"""Where an artefact and its policy differ."""

from __future__ import annotations

from dataclasses import dataclass

from wardgate.compiler.language.model import Address

_REMEDY = (
    "This is a fault of the compiler, not of the policy. Do not load the artefact; "
    "please report it with the policy."
)


@dataclass(frozen=True, slots=True)
class Witness:
    """Packets that the tables judge wrongly: all of them, in the same way.

    `subject`: whose, a user's name or a description of those whom the policy does not name. `first`
    to `last`: the remote addresses; None where a bucket is wrong that no address leads to. `service`
    in words.
    """

    subject: str
    inbound: bool
    first: Address | None
    last: Address | None
    service: str

    def __str__(self) -> str:
        way = "from" if self.inbound else "to"
        where = "no address" if self.first is None else str(self.first)
        if self.last != self.first:
            where += f" - {self.last}"
        return f"{self.subject}, {way} {where}, {self.service}"


class ValidationError(Exception):
    """The artefact does not say what the policy means.

    `subject` is what differs: packets (then `witness` tells which), or a part of the artefact. `tables`
    is what the artefact says there, `reference` what the policy means.
    """

    def __init__(self, subject: str, tables: str, reference: str, witness: Witness | None = None) -> None:
        cause = f"the artefact says {tables}, the policy {reference}"
        super().__init__(f"cannot validate {subject}: {cause}\n{_REMEDY}")
        self.operation = "validate"
        self.subject = subject
        self.cause = cause
        self.remedy = _REMEDY
        self.tables = tables
        self.reference = reference
        self.witness = witness


class OutOfBoundsError(ValidationError):
    """A lookup that a packet can cause would leave its table, or its row. What it finds there is nothing, or
    another row's, and not what the policy means."""

    def __init__(self, table: str, index: int, count: int, cause: str) -> None:
        super().__init__(f"table {table}", f"{cause} reads entry {index} of {count}", "every entry in bounds")
        self.table = table
        self.index = index
