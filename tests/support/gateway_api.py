"""The gateway's control API, asked without the command: cheaper where a test asks often."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import httpx


class Api:
    """Of the gateway that listens on a unix socket. Errors of httpx where it does not answer, or not well."""

    def __init__(self, socket: Path, patience_s: float = 60.0) -> None:
        transport = httpx.HTTPTransport(uds=str(socket))
        self._http = httpx.Client(transport=transport, base_url="http://gateway/v1", timeout=patience_s)

    def get(self, path: str) -> Any:
        """What is there."""
        return self._ask("GET", path)

    def text(self, path: str) -> str:
        """What is there, where that is no JSON."""
        return self._http.get(path).raise_for_status().text

    def post(self, path: str, **document: object) -> Any:
        """Have something done."""
        return self._ask("POST", path, document or None)

    def delete(self, path: str) -> Any:
        """Have something removed."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, document: object = None) -> Any:
        answer = self._http.request(method, path, json=document)
        answer.raise_for_status()
        return answer.json()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


__all__ = ["Api"]
