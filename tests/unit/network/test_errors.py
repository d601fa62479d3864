"""Errors carry what was done, to what, why it failed, and what to do."""

from __future__ import annotations

import errno

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network import forwarding
from wardgate.gateway.network.errors import NetworkError, NoInterfaceError
from wardgate.runtime.errors import WardgateError


def test_an_error_number_gets_words_and_a_remedy():
    error = NetworkError.of("add address to interface", "wg0 (10.0.0.1/8)", errno.EPERM)
    assert isinstance(error, GatewayError)
    assert isinstance(error, WardgateError)
    assert error.code == errno.EPERM
    assert "CAP_NET_ADMIN" in error.remedy
    assert str(error).startswith("add address to interface wg0 (10.0.0.1/8): Operation not permitted; ")


def test_an_interface_that_is_missing():
    error = NoInterfaceError("bring up interface", "wg0")
    assert (error.target, error.code) == ("wg0", errno.ENODEV)
    assert error.remedy


def test_settings_are_called_as_sysctl_calls_them():
    assert forwarding._name("ipv4/ip_forward") == "net.ipv4.ip_forward"
    assert forwarding._name("ipv6/conf/eth0.7/accept_ra") == "net.ipv6.conf.eth0/7.accept_ra"
