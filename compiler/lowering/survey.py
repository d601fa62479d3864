"""What each form that a structure of tables can take would cost a policy, before any is built.

A *structure* is a step of a decision (`route4`: IPv4 address to destination class), a *variant* one of
the forms that it has (a trie, or a search). Choosing among them is not done here: see `plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Structure = Literal["route4", "route6", "reach", "judge", "tunnel4", "tunnel6"]
STRUCTURES: tuple[Structure, ...] = get_args(Structure)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form of a structure.

    `parameter`: the bits of a route's index (0: none, and of other forms), the addresses of a tunnel's index
    (0: none, variant `hash`, else variant `index`), else 0. `loads`: loads on the longest path, each of
    which needs what the one before gave; `steps` of them are those of a search, of two tables side by
    side where `wide`. Straight-line code (variant `code`) has as many steps as it compares with constants,
    none of which is a load. `bytes`: of its tables, exactly, and of the entries of a tunnel's index.
    `touched`: the bytes of the cache lines (of 64) that packets to addresses inside of prefixes can touch.
    """

    structure: Structure
    variant: str
    parameter: int
    loads: int
    steps: int
    bytes: int
    touched: int
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """The candidates of a policy, and how large it is.

    A structure that the policy does not use has no candidates. `classes`, `destinations` and `services`
    count with class 0, `services` without the one of fragments; `patterns` counts distinct rows of
    decisions with pattern 0. `constant_bytes`: of the tables that every plan has. `inbound`: rows of
    `reach` are twice the classes.
    """

    candidates: tuple[Candidate, ...]
    classes: int
    destinations: int
    services: int
    buckets: int
    rules: int
    patterns: int
    inbound: bool
    constant_bytes: int

    def of(self, structure: Structure) -> tuple[Candidate, ...]:
        """The candidates of one structure, none where the policy does not use it."""
        return tuple(found for found in self.candidates if found.structure == structure)

    def find(self, structure: Structure, variant: str, parameter: int = 0) -> Candidate | None:
        """The candidate with these, None where there is none."""
        return next(
            (
                found
                for found in self.candidates
                if (found.structure, found.variant, found.parameter) == (structure, variant, parameter)
            ),
            None,
        )
