"""How each method of a second factor looks in the portal.

A method's plug-in gives its name and label; what it shows is two templates, one with the fields of a login,
one with those of a set-up, and a script where it needs one. What the user answers is one text, in the field
`code`: that of six digits, or the JSON that a script has put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardgate.gateway.portal.desk import RECOVERY


@dataclass(frozen=True, slots=True)
class MethodPage:
    """`login`, `setup`: templates, which are included within a form. `script`: a file of static/, or None.
    `blanks`: whether blanks are part of an answer; else those that people type or copy along are left out."""

    login: str
    setup: str
    script: str | None = None
    blanks: bool = False

    def tidy(self, code: str) -> str:
        """The answer that was meant."""
        return code if self.blanks else "".join(code.split())


_PLAIN: Final = MethodPage("methods/code_login.html", "methods/code_setup.html", blanks=True)

PAGES: Final[Mapping[str, MethodPage]] = {
    "totp": MethodPage("methods/totp_login.html", "methods/code_setup.html"),
    RECOVERY: MethodPage("methods/recovery_login.html", "methods/code_setup.html"),
}


def page_of(name: str) -> MethodPage:
    """That of a method; one that has none of its own asks for a code, below its question if it has one."""
    return PAGES.get(name, _PLAIN)


def scripts() -> tuple[str, ...]:
    """The files of static/ that methods need."""
    return tuple(page.script for page in PAGES.values() if page.script)


@dataclass(frozen=True, slots=True)
class RecoveryMethod:
    """Recovery codes, as a method that can be chosen."""

    name: str = RECOVERY
    label: str = "Recovery code"
