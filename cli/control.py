"""The control API of a running gateway, as commands call it: HTTP over its unix socket."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click
from wardgate.cli import gateway_words
from wardgate.cli.failures import POLICY_SAYS_NO, SYSTEM_REFUSED, USAGE, CommandError
from wardgate.gateway.control.place import SOCKET

if TYPE_CHECKING:
    import httpx

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:-]*", re.ASCII)
"""What the API takes in paths: users, groups, and ids of devices and tokens."""
_NAMES = "names have letters, digits and . _ @ + -, and begin with a letter or digit"
F = TypeVar("F", bound=Callable[..., Any])

_LONGEST_PATH = 108
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_LONG = {"policy": 600.0, "audit": 600.0}
"""Of what may take longer, by the first part of its path: a large policy is compared for minutes."""
_STATUS = {"invalid": USAGE, "policy": POLICY_SAYS_NO}
"""Exit status by the kind of a failure."""
_NOT_RUNNING = (
    "start it (wardgate gateway start), or name its socket with --socket; "
    "why a service does not start is in its log (journalctl -u wardgate-gateway)"
)
_DENIED = "run as root, or join the group that gateway.yaml names and log in again"


def gateway(function: F) -> F:
    """`--socket PATH`; the command gets a Client as `gateway`."""
    return click.option(
        "--socket", "gateway", metavar="PATH", envvar="WARDGATE_GATEWAY_SOCKET", default=SOCKET,
        show_default=True, show_envvar=True, callback=_client, help="The gateway's control socket.",
    )(function)  # fmt: skip


def _client(context: click.Context, parameter: click.Parameter, path: str) -> Client:
    # The kernel's limit (unix(7)).
    if not path or "\0" in path or len(os.fsencode(path)) >= _LONGEST_PATH:
        raise click.BadParameter(f"no path of a socket has {len(path)} characters", context, parameter)
    return Client(path)


class Client:
    """Asks the gateway at the socket `path`. What fails is a CommandError that says what to do."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get(self, *path: str, **query: str | int | None) -> Any:
        """The document at a path, which is given part by part."""
        return self._ask("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What an operation answers."""
        return self._ask("POST", path, body=body)

    def delete(self, *path: str) -> Any:
        """What removing something answers."""
        return self._ask("DELETE", path)

    def text(self, *path: str) -> str:
        """The text at a path."""
        with self._http() as http:
            answer = http.get(_url(path))
            _raise_for(answer)
            return answer.text

    def lines(self, *path: str) -> Iterator[dict[str, Any]]:
        """The documents of a stream, until the gateway ends it."""
        import httpx

        # It may be silent for days.
        timeout = httpx.Timeout(_CONNECT_SECONDS, read=None)
        with self._http() as http, http.stream("GET", _url(path), timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                _raise_for(answer)
            for line in answer.iter_lines():
                yield json.loads(line)

    def device(self, text: str) -> dict[str, Any]:
        """The device that `text` names: its id, USER/NAME, tunnel address or public key."""
        found: list[dict[str, Any]] = self.get("devices", find=text)
        return found[0]

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        import httpx

        timeout = httpx.Timeout(_LONG.get(path[0], _ANSWER_SECONDS), connect=_CONNECT_SECONDS)
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        with self._http() as http:
            answer = http.request(method, _url(path), params=wanted, json=body, timeout=timeout)
            _raise_for(answer)
            return answer.json()

    @contextmanager
    def _http(self) -> Iterator[httpx.Client]:
        import httpx

        # Nothing of the environment: a proxy there is not for this. There is no TLS, whose certificates take
        # longer to load than the answer to come.
        transport = httpx.HTTPTransport(uds=self._path, trust_env=False, verify=False)
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            with httpx.Client(
                transport=transport, timeout=timeout, base_url="http://gateway", trust_env=False
            ) as http:
                yield http
        except httpx.TimeoutException:
            raise CommandError(
                f"the gateway at {self._path} does not answer", "see its log, and wardgate gateway status"
            ) from None
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        except UnicodeEncodeError:
            raise CommandError("an argument is not UTF-8", "write it in UTF-8", USAGE) from None
        except ValueError as error:
            raise CommandError(
                f"{self._path} answers, but not as a gateway: {error}", "name the gateway's with --socket"
            ) from None

    def _unreachable(self, error: Exception) -> CommandError:
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.errno):
            cause = cause.__cause__ or cause.__context__
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.ENOENT, errno.ECONNREFUSED):
            return CommandError(f"no gateway runs here: nobody listens on {self._path}", _NOT_RUNNING)
        if number in (errno.EACCES, errno.EPERM):
            return CommandError(f"you may not connect to {self._path}", _DENIED)
        return CommandError(
            f"the gateway at {self._path} ended the connection: {error}", "see its log, and try again"
        )


def _url(path: tuple[str, ...]) -> str:
    for part in path:
        if not _NAME.fullmatch(part):
            raise CommandError(f"{part!r} names nothing", _NAMES, USAGE)
    return "/v1/" + "/".join(quote(part, safe="") for part in path)


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    failure = answer.json()
    if not isinstance(failure, dict) or "cause" not in failure:
        raise ValueError(f"HTTP status {answer.status_code}")
    what = f"{failure['operation']} {failure['target']}".rstrip()
    raise CommandError(
        gateway_words.lines(f"{what}: {failure['cause']}"),
        gateway_words.lines(failure["remedy"]),
        _STATUS.get(failure["kind"], SYSTEM_REFUSED),
        failure["diagnostics"],
    )
