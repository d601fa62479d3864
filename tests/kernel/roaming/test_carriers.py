"""On which interfaces the watch stands, by which way, and that nothing of it is left."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.roaming import layout, remove
from wardgate.gateway.roaming.carriers import Carriers, remove_filters
from wardgate.gateway.roaming.objects import read_program
from wardgate.gateway.roaming.pins import RoamingPins
from wardgate.runtime import netlink
from wardgate.runtime.info import link_info
from wardgate.runtime.netlink import Block
from wardgate.runtime.object import load_object
from wardgate.runtime.program import Program

pytestmark = pytest.mark.root

PORT = 51_820


@pytest.fixture
def program(underlay_program) -> Iterator[Program]:
    with load_object(read_program(underlay_program, layout.UNDERLAY, {"port": 1})) as loaded:
        yield loaded.programs["underlay_watch"]


@pytest.fixture
def pins() -> Iterator[RoamingPins]:
    found = RoamingPins(f"carriers{os.getpid()}")
    yield found
    remove(found.name)
    assert not found.root.exists()


@pytest.fixture
def links() -> Iterator[Links]:
    with NetNamespace("carriers") as namespace, namespace.enter(), Links(namespace) as made:
        made.add_veth("eth0", namespace, "wg0")
        yield made


@pytest.fixture(params=[True, False], ids=["links", "filters"])
def carriers(links, program, pins, request):
    made = Carriers(program.fd, PORT, "wg0", pins, use_links=request.param)
    assert links.index("wg0")
    yield made
    made.close()


def filters(links: Links, name: str) -> list[int | None]:
    return [one.program_id for one in netlink.filters(links.index(name), Block.INGRESS)]


def test_every_interface_but_the_tunnel(carriers):
    assert carriers.refresh()
    assert carriers.names == ("eth0", "lo")
    assert not carriers.uncovered
    assert not carriers.refresh()


def test_ports_of_a_bridge_are_seen_on_the_bridge(carriers, links):
    links.add("br0", "bridge")
    links.enslave("eth0", "br0")
    carriers.refresh()
    assert carriers.names == ("br0", "lo")


def test_another_interface_with_the_number_of_one_that_went(carriers, links, program):
    from pyroute2 import IPRoute

    carriers.refresh()
    index = links.index("eth0")
    links.remove("eth0")
    with links.namespace.enter(), IPRoute() as netlink_:
        netlink_.link("add", ifname="eth1", kind="veth", peer="eth2", index=index)
    assert carriers.refresh()
    assert carriers.names == ("eth1", "eth2", "lo")
    link = carriers._links.get(index)
    if link is None:
        assert filters(links, "eth1") == [program.info.id]
    else:
        assert link_info(link).ifindex == index


def test_interfaces_that_come_and_go(carriers, links):
    carriers.refresh()
    links.add_veth("eth1", links.namespace, "eth2")
    assert carriers.refresh()
    assert carriers.names == ("eth0", "eth1", "eth2", "lo")
    links.remove("eth0")
    assert not carriers.refresh()
    assert carriers.names == ("eth1", "eth2", "lo")


def test_an_interface_that_becomes_a_port_is_left(carriers, links):
    carriers.refresh()
    links.add("br0", "bridge")
    links.enslave("eth0", "br0")
    carriers.refresh()
    assert carriers.names == ("br0", "lo")
    assert not netlink.has_clsact(links.index("eth0"))


def test_closing_leaves_nothing(links, program, pins):
    carriers = Carriers(program.fd, PORT, "wg0", pins, use_links=False)
    carriers.refresh()
    assert filters(links, "eth0") == [program.info.id]
    assert netlink.has_clsact(links.index("eth0"))
    carriers.close()
    assert not netlink.has_clsact(links.index("eth0"))
    assert not pins.root.exists()


def test_what_others_have_there_stays(links, program, pins):
    index = links.index("eth0")
    netlink.add_clsact(index)
    netlink.add_filter(index, Block.INGRESS, program.fd, "other")
    carriers = Carriers(program.fd, PORT, "wg0", pins, use_links=False)
    carriers.refresh()
    assert len(filters(links, "eth0")) == 2
    carriers.close()
    assert len(filters(links, "eth0")) == 1


def test_two_gateways_do_not_disturb_each_other(links, program, pins):
    other_pins = RoamingPins(f"carriers{os.getpid()}-2")
    first = Carriers(program.fd, PORT, "wg0", pins, use_links=False)
    second = Carriers(program.fd, PORT + 1, "wg1", other_pins, use_links=False)
    first.refresh()
    second.refresh()
    assert len(filters(links, "eth0")) == 2
    first.close()
    assert len(filters(links, "eth0")) == 1
    second.close()
    assert not filters(links, "eth0")
    assert not other_pins.root.exists()


def test_what_a_killed_process_left_is_replaced_or_removed(links, program, pins):
    """Its filters stay, with their marks."""
    Carriers(program.fd, PORT, "wg0", pins, use_links=False).refresh()
    following = Carriers(program.fd, PORT, "wg0", pins, use_links=False)
    following.refresh()
    assert following.names == ("eth0", "lo")
    assert len(filters(links, "eth0")) == 1
    following.changes.close()
    remove_filters(pins)
    for name in ("eth0", "lo"):
        assert not netlink.has_clsact(links.index(name))
    pins.remove_empty()
    assert not pins.root.exists()
