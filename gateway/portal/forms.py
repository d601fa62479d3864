"""The fields of a form that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from wardgate.gateway.errors import InvalidError

MOST_FIELDS: Final = 12
MOST_FIELD: Final = 4096
"""Characters of a field."""


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields by name; InvalidError where it is not a form that a page of ours sends.

    A field that comes twice is one of those: whoever checks the one must not use the other. The same holds
    for control characters, which no field of ours takes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise _invalid("it is of another type than forms are")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise _invalid("it cannot be read, or has too many fields") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _invalid("a field comes twice")
    if any(
        len(value) > MOST_FIELD or any(char < " " or char == "\x7f" for char in value)
        for value in fields.values()
    ):
        raise _invalid("a field is too long, or has characters that nobody types")
    return fields


def _invalid(cause: str) -> InvalidError:
    return InvalidError("read form", "", cause, "go back, load the page again and send its form")
