"""From gateway.yaml to Settings, or every error in it."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final

from wardgate.gateway.compiling.documents import Code, Node, Report, Shape, read_document
from wardgate.gateway.network.tunnel import DEFAULT_MTU, LEAST_MTU, MOST_MTU
from wardgate.gateway.settings import model, values
from wardgate.gateway.settings.values import Section

_KEYS: Final = (
    "interface", "port", "endpoint", "addresses", "mtu", "device_slots", "policy", "state", "control",
    "portal", "enrolment", "sessions", "login", "roaming", "network", "client", "names", "metrics", "log",
)  # fmt: skip
_PERSISTENT: Final = 65_535


def read_settings(path: Path) -> model.Settings:
    """The settings in the file at `path`. PolicyError with every error in it, placed; OSError."""
    path = path.absolute()
    report = Report()
    root = read_document(path, report)
    settings = None if root is None else _Reader(report, path).settings(root)
    report.raise_if_failed()
    if settings is None:
        raise AssertionError("no settings, and no error")
    return settings


class _Reader:
    def __init__(self, report: Report, path: Path) -> None:
        self._report = report
        self._path = path
        self._folder = path.parent

    def _section(self, node: Node | None, name: str, *keys: str) -> Section:
        shape = Shape(f"`{name}`" if name else "the file", f"{name or 'interface'}: ...")
        return Section(self._report, node, shape, self._folder, keys)

    def settings(self, root: Node) -> model.Settings:
        top = self._section(root, "", *_KEYS)
        top.required("addresses", '[10.9.0.1/16, "fd09::1/64"]')
        top.required("endpoint", "vpn.example.org:51820")
        addresses = top.many("addresses", values.interface_address, "10.9.0.1/16")
        self._check_addresses(root, addresses)
        mtu = top.one("mtu", values.number(LEAST_MTU, MOST_MTU), "1420", DEFAULT_MTU)
        state = top.path("state", "/var/lib/wardgate")
        policy = top.path("policy", "policy.yaml")
        assert state is not None  # noqa: S101 - both have defaults
        assert policy is not None  # noqa: S101
        return model.Settings(
            file=self._path,
            interface=top.one("interface", values.interface, "wg0", "wg0"),
            port=top.one("port", values.number(1, 65_535), "51820", 51_820),
            endpoint=top.one("endpoint", values.endpoint, "vpn.example.org:51820", ""),
            addresses=addresses,
            mtu=mtu,
            device_slots=top.one("device_slots", values.number(2, 1 << 24), "65536", 1 << 16),
            policy=policy,
            state=state,
            control=self._control(top.node("control")),
            portal=self._portal(top.node("portal")),
            enrolment=self._enrolment(top.node("enrolment")),
            sessions=self._sessions(top.node("sessions")),
            login=self._login(top.node("login")),
            roaming=self._roaming(top.node("roaming")),
            network=self._network(top.node("network")),
            client=self._client(top.node("client"), mtu),
            names=self._names(top.node("names")),
            metrics=top.one("metrics", values.listen, "127.0.0.1:9586", None),
            log=self._log(top.node("log")),
        )

    def _check_addresses(self, root: Node, addresses: tuple[IPv4Interface | IPv6Interface, ...]) -> None:
        versions = [one.version for one in addresses]
        if len(set(versions)) < len(versions):
            self._report.error(
                Code.TYPE,
                root.position,
                "`addresses` has two addresses of the same version of IP",
                "give one IPv4 address, one IPv6 address, or both",
            )

    def _control(self, node: Node | None) -> model.Control:
        found = self._section(node, "control", "socket", "group")
        socket = found.path("socket", "/run/wardgate/control.sock")
        assert socket is not None  # noqa: S101 - it has a default
        return model.Control(socket, found.one("group", values.group, "wardgate", None))

    def _tls(self, node: Node | None, name: str) -> model.Tls | None:
        if node is None:
            return None
        found = self._section(node, name, "certificate", "key")
        for wanted in ("certificate", "key"):
            found.required(wanted, "FILE.pem")
        certificate, key = found.path("certificate"), found.path("key")
        return None if certificate is None or key is None else model.Tls(certificate, key)

    def _portal(self, node: Node | None) -> model.Portal:
        found = self._section(node, "portal", "port", "names", "tls")
        tls = self._tls(found.node("tls"), "tls")
        port = found.one("port", values.number(1, 65_535), "80", 443 if tls else 80)
        return model.Portal(port, found.many("names", values.host, "portal.example.org"), tls)

    def _enrolment(self, node: Node | None) -> model.Enrolment | None:
        if node is None:
            return None
        found = self._section(node, "enrolment", "listen", "names", "tls", "trusted_proxies")
        found.required("listen", '["0.0.0.0:8443", "[::]:8443"]')
        proxies = found.many("trusted_proxies", values.prefix, "10.0.0.8/32")
        return model.Enrolment(
            found.many("listen", values.listen, '"0.0.0.0:8443"'),
            found.many("names", values.host, "vpn.example.org"),
            self._tls(found.node("tls"), "tls"),
            proxies,
        )

    def _sessions(self, node: Node | None) -> model.Sessions:
        found = self._section(node, "sessions", "lifetime", "idle")
        lifetime = found.one("lifetime", values.seconds, "12h", 12 * 3600)
        return model.Sessions(lifetime, found.one("idle", values.seconds, "1h", None))

    def _login(self, node: Node | None) -> model.Login:
        found = self._section(node, "login", "issuer", "attempts", "delay", "longest_delay")
        return model.Login(
            found.one("issuer", values.issuer, "Wardgate", "Wardgate"),
            found.one("attempts", values.number(1, 100), "5", 5),
            found.one("delay", values.seconds, "30s", 30),
            found.one("longest_delay", values.seconds, "1h", 3600),
        )

    def _roaming(self, node: Node | None) -> model.Roaming:
        found = self._section(node, "roaming", "on_roam", "detector", "interval")
        return model.Roaming(
            found.one("on_roam", values.choice("challenge", "handshake", "ignore"), "challenge", "challenge"),
            found.one("detector", values.choice("auto", "fentry", "underlay", "polling"), "auto", "auto"),
            found.one("interval", values.seconds, "5s", 5),
        )

    def _network(self, node: Node | None) -> model.Network:
        found = self._section(node, "network", "masquerade", "exclude", "forwarding")
        exclude = found.many("exclude", values.prefix, "10.0.0.0/8")
        return model.Network(
            found.one("masquerade", values.truth, "true", False),
            exclude,
            found.one("forwarding", values.choice("check", "enable", "ignore"), "check", "check"),
        )

    def _client(self, node: Node | None, mtu: int) -> model.Client:
        found = self._section(node, "client", "dns", "allowed_ips", "keepalive", "mtu")
        dns = found.many("dns", values.address, "10.0.0.53")
        allowed: tuple[model.Prefix, ...] | None = None
        if found.has("allowed_ips"):
            allowed = found.many("allowed_ips", values.prefix, "10.0.0.0/8")
        return model.Client(
            dns,
            allowed,
            found.one("keepalive", values.number(1, _PERSISTENT), "25", None),
            found.one("mtu", values.number(LEAST_MTU, MOST_MTU), "1420", mtu),
        )

    def _names(self, node: Node | None) -> model.Names:
        found = self._section(node, "names", "shortest", "grace")
        return model.Names(
            found.one("shortest", values.seconds, "30s", 30), found.one("grace", values.seconds, "5m", 300)
        )

    def _log(self, node: Node | None) -> model.Log:
        found = self._section(node, "log", "form", "level")
        return model.Log(
            "json" if found.one("form", values.choice("text", "json"), "json", "text") == "json" else "text",
            found.one("level", values.choice("debug", "info", "warning", "error"), "info", "info"),
        )
