"""Durations on the command line, which are written as in policies."""

from __future__ import annotations

from wardgate.runtime.layout.durations import LONGEST, parse, show, words

__all__ = ["LONGEST", "parse", "show", "words"]
