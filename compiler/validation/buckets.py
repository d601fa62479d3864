"""Buckets as the manifest has them, found by what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.prefixes import PrefixTree

NO_BUCKET = 0


class Buckets:
    """The manifest's buckets, found by prefix and rules. `nodes` are their prefixes, that of bucket 1 first.

    ValidationError where the manifest has one twice, or one of a prefix that the policy does not have.
    """

    def __init__(self, encoded: Encoded, tree: PrefixTree) -> None:
        self._tree = tree
        self._described = encoded.manifest.buckets
        self._met = bytearray(len(self._described) + 1)
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self.nodes: Sequence[int] = [tree.node_of.get(bucket.prefix, 0) for bucket in self._described]
        for node, bucket in zip(self.nodes, self._described, strict=True):
            if not node:
                raise ValidationError(
                    f"bucket {bucket.id}", f"prefix {bucket.prefix!r}", "has no rule for it"
                )
            twin = self._numbers.setdefault((node, bucket.rules), bucket.id)
            if twin != bucket.id:
                raise ValidationError(f"bucket {bucket.id}", f"the same as bucket {twin}", "has it once")

    def find(self, node: int, rules: tuple[int, ...]) -> int:
        """The bucket of a prefix with these rules; NO_BUCKET where the manifest has none."""
        return self._numbers.get((node, rules), NO_BUCKET)

    def meet(self, number: int, node: int, rules: Iterable[int], inbound: bool) -> None:
        """Note that a user has the bucket that `find` gave. ValidationError where it gave none, or where the
        manifest has it for the other direction."""
        if number == NO_BUCKET:
            subject = f"the manifest's buckets of {self._tree.prefixes[node - 1]}"
            raise ValidationError(subject, "none with the rules of one", f"has rules {tuple(rules)}")
        if self._described[number - 1].inbound is not inbound:
            raise ValidationError(f"bucket {number}", f"inbound: {not inbound}", "the opposite")
        self._met[number] = True

    def check_all_met(self) -> None:
        """ValidationError where the manifest has a bucket that was never met."""
        number = self._met.find(0, 1)
        if number > 0:
            bucket = self._described[number - 1]
            where = f"{bucket.prefix} with rules {bucket.rules}"
            raise ValidationError(f"bucket {bucket.id}", where, "gives it to no user")
