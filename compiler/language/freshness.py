"""The end of an `mfa` rule that asks for a recent login: `within DURATION`."""

from __future__ import annotations

from collections.abc import Sequence

from wardgate.compiler.language.diagnostics import Code, Report
from wardgate.compiler.language.model import Action
from wardgate.compiler.language.names import WITHIN, quoted
from wardgate.compiler.language.nodes import Scalar
from wardgate.compiler.language.words import Flaw, Reading, Word, WordError, report_flaws
from wardgate.runtime.layout.durations import LONGEST_WITHIN, seconds_of
from wardgate.runtime.layout.durations import words as duration_words

_FORM = "write it like 30s, 15m, 2h, 1d or 1h30m"


def split_within(words: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
    """The words of a rule before `within`, and those from it on; of these there may be none."""
    at = next((place for place, word in enumerate(words) if word.text == WITHIN), len(words))
    return words[:at], words[at:]


def read_within(scalar: Scalar, action: Action, words: Sequence[Word], report: Report) -> int | None:
    """Seconds that `words`, which begin with `within`, ask for; None where they are wrong, which is
    reported."""
    within = words[0]
    if within.offset == 0:
        _refuse(report, scalar, within, "a rule begins with its destination", "write it before `within`")
        return None
    if action is not Action.MFA:
        _refuse(
            report,
            scalar,
            within,
            f"`within` is about logins, and {quoted(action.value)} rules ask for none",
            "move the rule to `mfa`, or leave `within` and its duration out",
        )
        return None
    if len(words) == 1:
        _refuse(report, scalar, within, "`within` has no duration", _FORM.replace("it", "one behind it", 1))
        return None
    again = next((word for word in words[1:] if word.text == WITHIN), None)
    if again is not None:
        _refuse(report, scalar, again, "`within` stands here twice", "give the shorter duration alone")
        return None
    try:
        seconds = parse_within(words[1].text)
    except WordError as error:
        reading: Reading[None] = Reading(None, (error.flaw,))
        report_flaws(report, scalar, words[1], reading)
        return None
    if len(words) > 2:
        _refuse(
            report, scalar, words[2], "`within` and its duration end a rule", "write services before `within`"
        )
        return None
    return seconds


def parse_within(text: str) -> int:
    """Seconds of the duration behind `within`; WordError where it is none that a rule can ask for."""
    seconds = seconds_of(text)
    if seconds is None:
        raise WordError(Flaw(Code.FRESHNESS, f"{quoted(text)} is no duration", _FORM))
    if seconds == 0:
        raise WordError(Flaw(Code.FRESHNESS, "no login is as recent as that", "give at least 1s"))
    if seconds > LONGEST_WITHIN:
        longest = duration_words(LONGEST_WITHIN)
        raise WordError(
            Flaw(
                Code.FRESHNESS,
                f"{quoted(text)} is longer than {longest}",
                f"give at most {longest}, or leave `within` out: the session's own end is there too",
            )
        )
    return seconds


def _refuse(report: Report, scalar: Scalar, word: Word, message: str, remedy: str) -> None:
    reading: Reading[None] = Reading(None, (Flaw(Code.FRESHNESS, message, remedy),))
    report_flaws(report, scalar, word, reading)
