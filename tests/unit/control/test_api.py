"""The API does what it says, says why where it does not, and every change has its line in the audit log."""

from __future__ import annotations

import asyncio
import getpass
import json
import os

import pytest
from gateway_fakes import KEYS, SECRET
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.backend.errors import BackendError
from wardgate.compiler.costs.errors import BudgetError
from wardgate.compiler.language import PolicyError, parse_policy_text
from wardgate.compiler.validation.errors import ValidationError
from wardgate.gateway.compiling.bundles import MOST_FILES

ME = f"uid:{os.getuid()} ({getpass.getuser()})"
POLICY = 'version: 1\ninclude: [more/*.yaml]\npolicies: {"*": {allow: ["10.0.0.5 80/tcp"]}}\n'
MORE = "version: 1\ngroups: {group:admins: [alice]}\n"
WIDER = POLICY.replace("80/tcp", "80/tcp 443/tcp")
FAILING = POLICY + "tests: [{as: alice, to: 10.0.0.5, service: 80/tcp, expect: deny}]\n"


def bundle(text, **files):
    """A policy as it is sent."""
    return {"main": "policy.yaml", "files": {"policy.yaml": text, "more/groups.yaml": MORE, **files}}


def test_users(serve):
    async def work(served):
        assert await served.get("users") == []
        alice = {"name": "alice", "groups": ["group:admins"], "locked": False, "created": 1_700_000_000}
        assert await served.post("users", {"name": "alice", "groups": ["group:admins"]}, 201) == alice
        assert await served.get("users") == [alice]
        assert (await served.post("users/alice/lock"))["locked"]
        assert not (await served.post("users/alice/unlock"))["locked"]
        assert (await served.post("users/alice/groups", {"group": "group:staff"}))["groups"] == [
            "group:admins",
            "group:staff",
        ]
        assert (await served.delete("users/alice/groups/group:staff"))["groups"] == ["group:admins"]
        factors = await served.get("users/alice/factors")
        assert (factors["methods"][0]["name"], factors["recovery_codes"]) == ("totp", 8)
        assert await served.post("users/alice/reset-mfa") == {"ok": True}
        assert await served.post("users/alice/unlock-login") == {"ok": True}
        assert await served.delete("users/alice") == {"ok": True}
        assert await served.get("users") == []
        assert await served.audit() == [
            (ME, action, "alice")
            for action in (
                "added user", "locked user", "unlocked user", "joined group", "left group",
                "reset second factors", "unlocked logins", "removed user",
            )
        ]  # fmt: skip

    serve(work)


def test_devices_are_found_and_changed_without_their_secrets(serve):
    async def work(served):
        await served.post("users", {"name": "alice"}, 201)
        new = {"user": "alice", "name": "laptop", "public_key": KEYS[0], "keepalive": 25}
        device = await served.post("devices", new, 201)
        assert device == {
            "id": "dev-1", "user": "alice", "name": "laptop", "public_key": KEYS[0],
            "addresses": ["10.9.0.2", "fd09::2"], "preshared": True, "keepalive": 25, "locked": False,
            "created": 1_700_000_000,
        }  # fmt: skip
        for text in ("dev-1", "alice/laptop", "10.9.0.2", "fd09::2", KEYS[0]):
            assert await served.get("devices", find=text) == [device]
        assert await served.get("devices", find="alice/laptop", user="bob") == []
        assert await served.get("devices", user="bob") == []
        assert await served.get("devices/dev-1") == device
        assert (await served.post("devices/dev-1/rename", {"name": "desk"}))["name"] == "desk"
        assert (await served.post("devices/dev-1/replace-key", {"public_key": KEYS[1]}))[
            "public_key"
        ] == KEYS[1]
        assert (await served.post("devices/dev-1/lock"))["locked"]
        assert not (await served.post("devices/dev-1/unlock"))["locked"]
        found = await served.get("devices/dev-1/config")
        assert found["text"].startswith("[Interface]\nAddress = 10.9.0.2, fd09::2\n")
        assert await served.delete("devices/dev-1") == {"ok": True}
        assert (await served.get("devices/dev-1", 404))["kind"] == "not-found"

    serve(work)


def test_a_token_is_shown_once_and_its_digest_never(serve):
    async def work(served):
        new = {"user": "alice", "uses": 3, "lifetime": 60, "addresses": ["10.9.0.9"], "replaces": "dev-1"}
        issued = await served.post("tokens", new, 201)
        assert issued["text"] == SECRET
        token = issued["token"]
        assert (token["uses"], token["expires"] - token["created"], token["created_by"]) == (3, 60, ME)
        assert "digest" not in token
        answer = await served.http.get("/v1/tokens")
        assert answer.json() == [token]
        assert SECRET not in answer.text
        assert await served.delete(f"tokens/{token['id']}") == {"ok": True}
        assert (await served.delete(f"tokens/{token['id']}", 404))["remedy"]
        assert SECRET not in json.dumps(await served.get("audit"))

    serve(work)


def test_sessions(serve):
    async def work(served):
        await served.post("users", {"name": "alice"}, 201)
        for name, key in (("laptop", KEYS[0]), ("phone", KEYS[1])):
            await served.post("devices", {"user": "alice", "name": name, "public_key": key}, 201)
        first, second = await served.get("sessions")
        assert (first["device"]["name"], first["state"], first["remaining"]) == (
            "laptop",
            "authorised",
            599.5,
        )
        assert (second["state"], second["remaining"], second["idle_limit"]) == ("none", None, None)
        assert await served.delete("sessions/dev-1") == {"ok": True}
        assert (await served.get("sessions"))[0]["state"] == "none"
        assert (await served.delete("sessions/dev-1", 404))["kind"] == "not-found"

    serve(work)


def test_a_policy_is_planned_applied_and_rolled_back(serve):
    async def work(served):
        assert (await served.get("policy", 404))["kind"] == "not-found"
        plan = await served.post("policy/plan", {"bundle": bundle(POLICY)})
        assert (plan["ok"], plan["widens"], plan["base"]) == (True, True, 0)
        assert "gains access" in plan["difference_text"]
        assert plan["difference"]["statements"][0]["before"] == "deny"
        body = {"bundle": bundle(POLICY), "plan_digest": plan["digest"]}
        assert (await served.post("policy/apply", body))["number"] == 1
        # The same request once more is about a policy that is not in force any more.
        assert (await served.post("policy/apply", body, 409))["kind"] == "stale-plan"

        plan = await served.post("policy/plan", {"bundle": bundle(WIDER)})
        applied = await served.post("policy/apply", {"bundle": bundle(WIDER), "plan_digest": plan["digest"]})
        assert (applied["number"], applied["by"], applied["names"]) == (
            2, ME, ["policy.yaml", "more/groups.yaml"],
        )  # fmt: skip
        shown = await served.get("policy")
        assert (shown["number"], shown["current"], shown["files"]) == (2, True, bundle(WIDER)["files"])
        assert not (await served.get("policy", number=1))["current"]
        assert [one["number"] for one in await served.get("policy/history")] == [1, 2]

        assert (await served.post("policy/rollback", {"number": 1}, 409))["kind"] == "stale-plan"
        assert (await served.post("policy/rollback", {"number": 2}))["number"] == 1
        assert (await served.get("policy"))["number"] == 1

    serve(work)


def test_what_was_not_looked_at_is_not_applied(serve):
    async def work(served):
        plan = await served.post("policy/plan", {"bundle": bundle(POLICY)})
        other = {"bundle": bundle(WIDER), "plan_digest": plan["digest"]}
        assert (await served.post("policy/apply", other, 409))["kind"] == "stale-plan"
        assert (await served.get("policy/history")) == []
        assert await served.audit() == []

    serve(work)


def test_two_who_planned_the_same_are_not_both_first(serve):
    async def work(served):
        bodies = []
        for text in (POLICY, WIDER):
            plan = await served.post("policy/plan", {"bundle": bundle(text)})
            bodies.append({"bundle": bundle(text), "plan_digest": plan["digest"]})
        assert (await served.post("policy/apply", bodies[0]))["number"] == 1
        assert (await served.post("policy/apply", bodies[1], 409))["kind"] == "stale-plan"

    serve(work)


@pytest.mark.parametrize("text", [FAILING, "version: 1\nfrob: 1\n", "version: 1\ninclude: [nothing.yaml]\n"])
def test_a_policy_that_is_not_in_order_is_refused_whatever_is_asked(serve, text):
    async def work(served):
        plan = await served.post("policy/plan", {"bundle": bundle(text)})
        assert not plan["ok"]
        assert plan["diagnostics"][0]["severity"] == "error"
        assert "error" in plan["diagnostics_text"]
        body = {"bundle": bundle(text), "plan_digest": plan["digest"]}
        refused = await served.post("policy/apply", body, 403)
        assert (refused["kind"], refused["diagnostics"]) == ("policy", plan["diagnostics"])
        assert await served.audit() == []

    serve(work)


def test_no_file_of_a_policy_leads_out_of_its_folder(serve):
    names = ["../evil.yaml", "/etc/passwd", "a/../../b.yaml", "./a.yaml", "a//b.yaml", "..", "", "a\\b.yaml"]

    async def work(served):
        for name in [*names, "a\nb.yaml", "x" * 2_000]:
            body = {"bundle": {**bundle(POLICY), "files": {**bundle(POLICY)["files"], name: MORE}}}
            refused = await served.post("policy/plan", body, 400)
            assert (refused["kind"], refused["operation"]) == ("invalid", "read policy"), name

    serve(work)


def test_a_bundle_has_its_main_file_and_bounds(serve):
    async def work(served):
        assert (await served.post("policy/plan", {"bundle": {"main": "x.yaml", "files": {}}}, 400))["cause"]
        many = {f"{n}.yaml": "" for n in range(MOST_FILES)}
        refused = await served.post("policy/plan", {"bundle": bundle(POLICY, **many)}, 400)
        assert "files" in refused["cause"]

    serve(work)


def test_events_are_lines_from_now_on_and_end_with_who_listens(serve):
    async def work(served):
        async with served.http.stream("GET", "/v1/events") as stream:
            assert stream.headers["content-type"].startswith("application/x-ndjson")
            lines = stream.aiter_lines()
            assert json.loads(await anext(lines))["event"] == "listening"
            await served.post("users", {"name": "alice"}, 201)
            assert json.loads(await anext(lines)) == {
                "event": "added user", "time": "2023-11-14T22:13:20Z", "actor": ME, "target": "alice",
            }  # fmt: skip
            assert served.gateway.listeners == 1
        while served.gateway.listeners:
            await asyncio.sleep(0.01)

    serve(work)


def test_the_audit_log_is_paged_and_verified(serve):
    async def work(served):
        assert await served.get("audit/head") == {"number": 0, "hash": "0" * 64}
        for number in range(5):
            await served.post("users", {"name": f"user{number}"}, 201)
        assert [entry["number"] for entry in await served.get("audit")] == [1, 2, 3, 4, 5]
        assert [entry["number"] for entry in await served.get("audit", after=1, limit=2)] == [2, 3]
        assert await served.get("audit", after=5) == []
        last = (await served.get("audit"))[-1]
        assert await served.get("audit/head") == {"number": 5, "hash": last["hash"]}
        assert await served.get("audit/verify") == {
            "entries": 5, "hash": last["hash"], "broken": None, "cause": "",
        }  # fmt: skip

    serve(work)


def test_status_and_metrics(serve):
    async def work(served):
        status = await served.get("status")
        assert (status["interface"]["name"], status["gate"]["enforcing"], status["problems"]) == (
            "wg0",
            True,
            [],
        )
        answer = await served.http.get("/v1/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "wardgate_store_revision 0.0\n" in answer.text

    serve(work)


FAILURES = [
    ("users/nobody", 404, "not-found"), ("users/busy", 503, "busy"), ("users/held", 503, "busy"),
    ("nothing", 404, "not-found"),
    ("users/", 404, "not-found"), ("audit?after=-1", 400, "invalid"), ("audit?limit=1001", 400, "invalid"),
    ("audit?after=x", 400, "invalid"), ("policy?number=0", 400, "invalid"),
]  # fmt: skip


def test_every_failure_has_its_status_cause_and_remedy(serve):
    async def work(served):
        for path, status, kind in FAILURES:
            answer = await served.http.get(f"/v1/{path}")
            assert answer.status_code == status
            failure = answer.json()
            assert (failure["ok"], failure["kind"]) == (False, kind)
            assert failure["cause"]
            assert failure["remedy"]
            assert answer.headers["cache-control"] == "no-store"

    serve(work)


def test_conflicts_and_refusals(serve):
    async def work(served):
        await served.post("users", {"name": "alice"}, 201)
        assert (await served.post("users", {"name": "alice"}, 409))["kind"] == "exists"
        assert (await served.post("users", {"name": "a b"}, 400))["operation"] == "add user"
        assert (await served.delete("users/alice/groups/group:x", 403))["kind"] == "refused"
        assert (await served.post("nothing", {}, 404))["kind"] == "not-found"
        assert (await served.http.put("/v1/users")).status_code == 405
        assert len(await served.audit()) == 1

    serve(work)


def test_an_internal_error_tells_nothing_of_itself(serve, caplog):
    async def work(served):
        answer = await served.http.get("/v1/users/broken")
        assert (answer.status_code, answer.json()["kind"]) == (500, "internal")
        assert "s3cret" not in answer.text
        # The connection and the server go on.
        assert await served.get("users") == []

    serve(work)
    assert "internal error" in caplog.text


def policy_error():
    """Of a policy with an error."""
    with pytest.raises(PolicyError) as caught:
        parse_policy_text("version: 1\nfrob: 1\n")
    return caught.value


REFUSALS = [
    (policy_error(), "policy"), (AnalysisError("compare", "policies", "too much", "split it"), "refused"),
    (BackendError("run", "clang", "it is gone", "install it"), "refused"),
    (BudgetError("p.yaml", "large", "raise it", needed=2, allowed=1, structures={}, culprits=()), "policy"),
    (ValidationError("the tables", "allow", "deny"), "refused"),
]  # fmt: skip


def test_what_the_compiler_refuses_is_told(serve):
    async def work(served):
        for error, kind in REFUSALS:
            served.gateway.policies.failure = error
            failure = await served.get("policy/history", 403)
            assert (failure["kind"], bool(failure["remedy"])) == (kind, True)
            assert failure["cause"]

    serve(work)


def test_a_closed_store_is_unavailable(serve):
    async def work(served):
        await served.gateway.ledger.store.close()
        assert (await served.get("audit/head", 503))["kind"] == "unavailable"

    serve(work)


WRONG_USERS = [
    {}, [], "alice", 1, None, {"name": 1}, {"name": None}, {"name": ["alice"]}, {"name": ""},
    {"name": "x" * 256}, {"name": "alice", "groups": "group:admins"}, {"name": "alice", "groups": [1]},
    {"name": "alice", "locked": False}, {"name": "alice", "actor": "uid:0 (root)"},
    {"name": "alice", "groups": ["g"] * 101},
]  # fmt: skip


def test_wrong_types_and_unknown_fields_are_refused(serve):
    async def work(served):
        for body in WRONG_USERS:
            refused = await served.post("users", body, 400)
            assert refused["kind"] == "invalid"
            assert await served.audit() == []

    serve(work)


WRONG_TOKENS = [
    {"uses": True}, {"uses": "1"}, {"uses": 0}, {"uses": 1.5}, {"lifetime": 0}, {"lifetime": 10**9},
    {"text": "wg_mine"}, {"created_by": "gateway"},
]  # fmt: skip


def test_a_tokens_numbers_are_numbers(serve):
    async def work(served):
        for body in WRONG_TOKENS:
            await served.post("tokens", {"user": "alice", **body}, 400)

    serve(work)


def test_a_mistake_is_told_without_what_was_given(serve):
    async def work(served):
        body = {"user": "alice", "name": "x", "public_key": {"private": "s3cret"}}
        answer = await served.http.post("/v1/devices", json=body)
        assert answer.status_code == 400
        assert "public_key" in answer.text
        assert "s3cret" not in answer.text

    serve(work)


def test_nobody_says_who_they_are(serve):
    async def work(served):
        headers = {"X-Forwarded-For": "10.0.0.1", "Actor": "uid:1 (eve)", "X-Remote-User": "eve", "Peer": "0"}
        answer = await served.http.post("/v1/users", json={"name": "alice"}, headers=headers)
        assert answer.status_code == 201
        assert await served.audit() == [(ME, "added user", "alice")]

    serve(work)
