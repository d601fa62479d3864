"""The API's description is valid, whole, and what is served."""

from __future__ import annotations

from collections import Counter

from openapi_spec_validator import validate
from wardgate.gateway.control.app import openapi_document

DOCUMENT = openapi_document()
REQUESTS = (
    "NewUser", "Membership", "NewDevice", "NewName", "NewKey", "NewToken", "PolicyBundle", "PlanRequest",
    "ApplyRequest", "RollbackRequest",
)  # fmt: skip


def operations():
    """Every operation: method, path, description."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_it_is_valid():
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_each_operation_has_a_name_of_its_own_and_says_how_it_fails():
    names = Counter(operation["operationId"] for _, _, operation in operations())
    assert set(names.values()) == {1}
    for method, path, operation in operations():
        assert {"400", "403", "404", "409", "413", "500", "503"} <= set(operation["responses"]), (
            method,
            path,
        )
        assert "422" not in operation["responses"]


def test_requests_have_no_other_fields():
    for name in REQUESTS:
        assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


def test_no_secret_has_a_place_in_answers():
    schemas = DOCUMENT["components"]["schemas"]
    assert not {"preshared_key", "digest"} & set(schemas["DeviceDocument"]["properties"])
    assert "digest" not in schemas["TokenDocument"]["properties"]


def test_it_is_what_is_served(serve):
    async def work(served):
        assert await served.get("openapi.json") == DOCUMENT
        # Nothing besides, such as pages that load scripts from elsewhere.
        for path in ("docs", "redoc", "v1/docs"):
            assert (await served.http.get(f"/{path}")).status_code == 404

    serve(work)
