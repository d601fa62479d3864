"""Methods of the second factor in all forms besides TOTP's, as small as their authors may write them."""

# ruff: noqa: ARG002 - a method has the arguments of its form, whichever it needs

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

from wardgate.gateway.challenges import Accepted, Begun, Question


class Signer:
    """A device with a keyboard that signs what is typed into it, as of OCRA (RFC 6287)."""

    name = "signer"
    label = "Signing device"

    def begin(self, account: str) -> Begun:
        key = secrets.token_bytes(32)
        return Begun(key, uri=f"signer:{account}?key={key.hex()}", text=key.hex())

    def confirm(self, secret: bytes, answer: str, at: int) -> Accepted | None:
        return self.judge(secret, b"set up", answer, 0, at)

    def pose(self, secret: bytes, ticket: str, at: int) -> Question:
        number = secrets.token_hex(8)
        return Question(state=number.encode(), text=number)

    def judge(self, secret: bytes, state: bytes, answer: str, used: int, at: int) -> Accepted | None:
        right = hmac.digest(secret, state, "sha256").hex()[:16]
        good = hmac.compare_digest(right.encode(), answer.encode("utf-8", "replace"))
        return Accepted(secret, used) if good else None


def signed(key: str, question: str) -> str:
    """What such a device shows; `key`: the set-up's text."""
    return hmac.new(bytes.fromhex(key), question.encode(), hashlib.sha256).hexdigest()[:16]


class Provider:
    """Sends the user to a provider, which answers in the query of the way back."""

    name = "provider"
    label = "Example ID"

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def pose(self, user: str, ticket: str, at: int) -> Question:
        nonce = secrets.token_hex(8)
        query = urlencode({"state": ticket, "nonce": nonce})
        return Question(state=nonce.encode(), url=f"https://id.example.com/authorize?{query}")

    async def judge(self, user: str, state: bytes, answer: str, at: int) -> bool:
        await asyncio.sleep(0)
        return hmac.compare_digest(self._signed(user, state), answer.encode("utf-8", "replace"))

    def authorize(self, url: str, user: str) -> dict[str, str]:
        """The provider's part: the query that the user is sent back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return {"state": asked["state"], "code": self._signed(user, asked["nonce"].encode()).decode()}

    def _signed(self, user: str, state: bytes) -> bytes:
        return hmac.digest(self._key, user.encode() + b"\0" + state, "sha256").hex().encode()


class Directory:
    """Passwords that are kept elsewhere, asked for by a call that blocks, as PAM's do. `reached`: somebody
    asks; `answers`: the call may return. `asked`: what for."""

    name = "directory"
    label = "Password"

    def __init__(self) -> None:
        self.passwords = {"alice": "correct horse  battery", "bob": "staple"}
        self.asked: list[tuple[str, str]] = []
        self.reached = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    async def judge(self, user: str, state: bytes, answer: str, at: int) -> bool:
        assert state == b""
        return await asyncio.to_thread(self._blocking, user, answer)

    def _blocking(self, user: str, answer: str) -> bool:
        self.asked.append((user, answer))
        self.reached.set()
        self.answers.wait()
        return self.passwords.get(user) == answer
