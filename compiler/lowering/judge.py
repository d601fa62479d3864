"""Tables of what buckets decide: the buckets, their rules, and their patterns.

`buckets[bucket]`, of 64 bits, is `pattern << 32 | first`. The entry of pattern and service class is
`local << 2 | verdict`, and `bucket_rules[first + local]` the id of the rule that decides. Where rules say
`within`, it is `id << 1 | says`, where `says` is 1 of a rule that does, and `within[id]` the seconds that the
rule gives a login. Patterns are

- plain: `judge[pattern * width + service]`
- paged: `judge_directory[pattern * per_row + service // 64]` is a page,
  `judge_pages[page * 64 + service % 64]`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from wardgate.compiler.lowering.buckets import Buckets
from wardgate.compiler.lowering.lines import PAGE, PAGE_BITS
from wardgate.compiler.lowering.patterns import Patterns
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import Lists, concatenated, distinct, offsets_of
from wardgate.compiler.lowering.survey import Candidate
from wardgate.compiler.lowering.tables import Numbers, TableData, narrowest, table

_DOC = "pattern and service class to which of the bucket's rules decides, and its verdict"


def bucket_tables(buckets: Buckets, patterns: Patterns, within: Sequence[int | None]) -> list[TableData]:
    """`buckets` and `bucket_rules`, and `within` where a rule says so; `within` is what rules do, that of
    rule 1 first. Buckets with the same rules share theirs."""
    number, first = distinct(buckets.rules)
    stored = buckets.rules.take(first)
    records = patterns.of_bucket.astype(np.uint64) << np.uint64(32)
    records[1:] |= stored.offsets[number].astype(np.uint64)
    rules, doc = stored.values, "the ids of buckets' rules"
    ages: list[TableData] = []
    last = max((place for place, seconds in enumerate(within, 1) if seconds is not None), default=0)
    if last:
        given = np.array([0, *(seconds or 0 for seconds in within)], np.int64)
        rules = rules << 1 | (given[rules] > 0)
        doc += ", and whether they say `within`"
        # No further than the last rule that says so: the others are never looked up.
        most = int(given.max())
        ages = [
            table("within", narrowest(most), given[: last + 1], "rule to the age that it lets a login have")
        ]
    return [
        table("buckets", 8, records, "bucket to its pattern and to where its rules begin"),
        table("bucket_rules", narrowest(int(rules.max(initial=0))), rules, doc),
        *ages,
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The patterns, and what their pages would be: `contents` are those of page 0 on, as runs of
    `value << 6 | first column`."""

    patterns: Patterns
    directory: Numbers
    contents: Lists

    @property
    def element(self) -> int:
        """Bytes of an entry."""
        return narrowest(self.patterns.largest)

    @property
    def per_row(self) -> int:
        """Pages of a pattern."""
        return -(-self.patterns.width // PAGE)

    def candidates(self) -> list[Candidate]:
        """The forms that this can take."""
        plain = len(self.patterns) * self.patterns.width * self.element
        directory = len(self.directory) * narrowest(len(self.contents) - 1)
        paged = directory + len(self.contents) * PAGE * self.element
        return [
            Candidate("judge", "plain", 0, 1, 0, plain, plain),
            Candidate("judge", "paged", 0, 2, 0, paged, paged),
        ]

    def encode(self, plan: Plan) -> tuple[list[TableData], dict[str, int], set[str]]:
        """Tables, parameters, and the templates' features."""
        if plan.judge == "plain":
            cells = table("judge", self.element, self.patterns.written_out(), _DOC)
            return [cells], {"judge_width": self.patterns.width}, {"JUDGE_PLAIN"}
        places = self.contents.owners * PAGE + (self.contents.values & PAGE - 1)
        lengths = np.diff(places, append=len(self.contents) * PAGE)
        pages = np.repeat((self.contents.values >> PAGE_BITS).astype(np.uint32), lengths)
        size = narrowest(len(self.contents) - 1)
        return (
            [
                table("judge_directory", size, self.directory, "pattern and service class to page"),
                table("judge_pages", self.element, pages, _DOC),
            ],
            {"judge_per_row": self.per_row},
            {"JUDGE_PAGED"},
        )


def judge_of(patterns: Patterns) -> Judge:
    """The pages of `patterns`, of which equal ones are stored once. Page 0 is all zero.

    Nearly all pages are of one value, and only the others are looked at.
    """
    per_row = -(-patterns.width // PAGE)
    values = patterns.values.values
    places = patterns.columns.owners * (per_row * PAGE) + patterns.columns.values
    inside = places & PAGE - 1 > 0
    # The value at each page's first column.
    first_page = -(-places // PAGE)
    pages = np.diff(first_page, append=len(patterns) * per_row)
    at_start = np.repeat(values.astype(np.uint32), pages)

    inner, page_of_inner = places[inside], places[inside] >> PAGE_BITS
    mixed, counts = np.unique(page_of_inner, return_counts=True)
    offsets = offsets_of(counts + 1)
    runs = np.empty(offsets[-1], np.int64)
    leads = np.zeros(len(runs), bool)
    leads[offsets[:-1]] = True
    leading = at_start[mixed].astype(np.int64)
    runs[leads] = leading << PAGE_BITS
    runs[~leads] = values[inside] << PAGE_BITS | inner & PAGE - 1

    # How many pages are of each value alone, and that of zeros.
    used = np.bincount(values, pages).astype(np.int64) - np.bincount(leading, minlength=int(values.max()) + 1)
    used[0] += 1
    constants = np.flatnonzero(used)
    pages_of_one = Lists(constants << PAGE_BITS, np.arange(len(constants) + 1))
    directory = (np.cumsum(used > 0) - 1).astype(np.uint32)[at_start]
    others = Lists(runs, offsets)
    number, first = distinct(others)
    directory[mixed] = len(constants) + number
    return Judge(patterns, directory, concatenated([pages_of_one, others.take(first)]))
