"""Logs: a line of JSON for each record, or one for people, in UTC, and without secrets.

`set_up` is called once, by whoever starts the gateway; everybody else uses `logging`, with fields in `extra`.
"""

from wardgate.gateway.journal.formats import JsonFormatter, TextFormatter
from wardgate.gateway.journal.masking import MaskingFilter, masked
from wardgate.gateway.journal.setting import set_up

__all__ = ["JsonFormatter", "MaskingFilter", "TextFormatter", "masked", "set_up"]
