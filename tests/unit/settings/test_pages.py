"""Where the gateway's pages are."""

from __future__ import annotations

from pathlib import Path

import pytest
from wardgate.gateway.settings import read_settings
from wardgate.gateway.settings.pages import enrolment_page, portal_page

TLS = "tls: {certificate: a.pem, key: a.key}"


@pytest.mark.parametrize(
    ("settings", "portal", "enrolment"),
    [
        ("", "http://10.9.0.1/", ""),
        (f"portal: {{names: [p.example.org], {TLS}}}", "https://p.example.org/", ""),
        ("portal: {port: 81}\nenrolment: {listen: '0.0.0.0:8443'}", "http://10.9.0.1:81/",
         "http://vpn.example.org:8443/enrol"),
        (f"enrolment: {{listen: '0.0.0.0:443', names: [e.example.org], {TLS}}}", "http://10.9.0.1/",
         "https://e.example.org/enrol"),
        (f"enrolment: {{listen: '0.0.0.0:8443', {TLS}}}", "http://10.9.0.1/", "https://vpn.example.org:8443/enrol"),
        ("enrolment: {listen: '127.0.0.1:8080', trusted_proxies: [127.0.0.1]}", "http://10.9.0.1/",
         "https://vpn.example.org/enrol"),
    ],
)  # fmt: skip
def test_pages(tmp_path: Path, settings: str, portal: str, enrolment: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f'endpoint: "vpn.example.org:51820"\naddresses: ["10.9.0.1/16"]\n{settings}\n')
    found = read_settings(file)
    assert (portal_page(found), enrolment_page(found)) == (portal, enrolment)


def test_addresses_of_ipv6_are_in_brackets(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        'endpoint: "[2001:db8::1]:51820"\naddresses: ["fd09::1/64"]\nenrolment: {listen: "[::]:80"}\n'
    )
    found = read_settings(file)
    assert portal_page(found) == "http://[fd09::1]/"
    assert enrolment_page(found) == "http://[2001:db8::1]/enrol"
