"""The API on top of the gateway's own users, devices, tokens and second factors, and a real ledger."""

from __future__ import annotations

import asyncio
import base64
import getpass
import os

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from gateway_fakes import FakeGateway
from wardgate.gateway.challenges import Challenges, ChallengeSettings, Sealer, Totp
from wardgate.gateway.control.peers import Access
from wardgate.gateway.control.server import ControlServer
from wardgate.gateway.identity import Devices, Enrolment, Pools, Tokens, Users
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.store import SqliteStore

ME = f"uid:{os.getuid()} ({getpass.getuser()})"


def key(number: int) -> str:
    """A public key."""
    private = X25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


class Parts(FakeGateway):
    """A gateway whose people are real."""

    def __init__(self, ledger: Ledger, sealer: Sealer) -> None:
        super().__init__(ledger)
        pools = Pools.of(["10.9.0.0/24", "fd09::/64"], ["10.9.0.1", "fd09::1"])
        settings = ChallengeSettings("Wardgate")
        self.users = Users(ledger, lambda: ["group:admins"])
        self.devices = Devices(ledger, self.users, pools, own_keys=set(), seal=sealer.seal)
        self.tokens = Tokens(ledger, self.users, self.devices)
        self.enrolment = Enrolment(ledger, self.users, self.devices, self.tokens)
        self.challenges = Challenges(ledger, sealer, [Totp("Wardgate", settings.drift_steps)], settings)


@pytest.fixture
def real(socket_folder, tmp_path):
    """Run `work` with a client of such a gateway."""

    def run(work):
        async def main() -> None:
            path = socket_folder / "control.sock"
            async with await SqliteStore.open(tmp_path / "store") as store:
                sealer = Sealer.create(tmp_path / "sealing.key")
                gateway = Parts(Ledger(store), sealer)
                server = ControlServer(gateway, path, Access(None))
                await server.start()
                try:
                    transport = httpx.AsyncHTTPTransport(uds=os.fspath(path))
                    async with httpx.AsyncClient(transport=transport, base_url="http://x/v1") as http:
                        await work(gateway, http)
                finally:
                    await server.stop()

        asyncio.run(main())

    return run


def test_people_and_their_devices(real):
    async def work(gateway, http):
        user = (await http.post("/users", json={"name": "alice", "groups": ["group:admins"]})).json()
        assert (user["name"], user["groups"]) == ("alice", ["group:admins"])
        new = {"user": "alice", "name": "laptop", "public_key": key(1)}
        device = (await http.post("/devices", json=new)).json()
        assert (device["preshared"], device["addresses"]) == (True, ["10.9.0.2", "fd09::2"])
        for text in (device["id"], "alice/laptop", "10.9.0.2", "fd09::2", key(1)):
            assert (await http.get("/devices", params={"find": text})).json() == [device]
        again = await http.post("/devices", json={**new, "name": "other"})
        assert (again.status_code, again.json()["kind"]) == (409, "exists")

        issued = (await http.post("/tokens", json={"user": "alice"})).json()
        enrolled = await gateway.enrolment.enrol(issued["text"], "phone", key(2))
        assert (await http.get("/tokens")).json() == []
        names = [one["name"] for one in (await http.get("/devices")).json()]
        assert names == ["laptop", "phone"]
        assert (await http.post(f"/devices/{enrolled.device.id}/lock")).json()["locked"]
        assert (await http.delete(f"/devices/{enrolled.device.id}")).json() == {"ok": True}

        factors = (await http.get("/users/alice/factors")).json()
        assert (factors["methods"], factors["failures"]) == ([], 0)
        assert (await http.post("/users/alice/unlock-login")).json() == {"ok": True}
        assert (await http.post("/users/alice/reset-mfa")).status_code == 404
        assert (await http.delete("/users/alice")).json() == {"ok": True}
        assert (await http.get("/devices")).json() == []

        entries = (await http.get("/audit")).json()
        by_me = [entry["action"] for entry in entries if entry["actor"] == ME]
        assert by_me[:3] == ["added user", "added device", "issued token"]
        assert [entry["actor"] for entry in entries if entry["action"] == "enrolled device"] == [
            f"token:{issued['token']['id']}"
        ]
        assert (await http.get("/audit/verify")).json()["broken"] is None
        assert issued["text"].split("_", 2)[2] not in str(entries)

    real(work)


def test_nothing_is_said_to_be_done_for_a_user_who_is_not_there(real):
    async def work(gateway, http):
        for name, status in (("alcie", 404), ("a" + "@" * 250, 400), ("group:admins", 400)):
            for ask in (
                http.post(f"/users/{name}/unlock-login"), http.post(f"/users/{name}/reset-mfa"),
                http.get(f"/users/{name}/factors"), http.post(f"/users/{name}/lock"),
            ):  # fmt: skip
                answer = await ask
                assert (answer.status_code, bool(answer.json()["remedy"])) == (status, True), answer.text
        assert (await gateway.ledger.store.snapshot("")).entries == ()

    real(work)


HOSTILE = ("group:admins", "..", "a/b", "-rf", "a\nb", "a\x00b", "*", "x" * 64, "\u202ealice", "ALICE\x1b[2J")


def test_hostile_names_are_refused_and_leave_nothing(real):
    async def work(gateway, http):
        for name in HOSTILE:
            answer = await http.post("/users", json={"name": name})
            assert (answer.status_code, answer.json()["kind"]) == (400, "invalid"), name
            new = {"user": "alice", "name": name, "public_key": key(1)}
            assert (await http.post("/devices", json=new)).status_code == 400, name
            assert (await http.post("/tokens", json={"user": name})).status_code == 400, name
        for path in ("/users/..%2fetc", "/users/%2e%2e", "/devices/%00", "/tokens/*"):
            assert (await http.delete(path)).status_code in (400, 404), path
        assert (await gateway.ledger.store.snapshot("")).entries == ()

    real(work)
