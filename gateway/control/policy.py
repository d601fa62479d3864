"""The API's paths for the policy."""

from __future__ import annotations

from fastapi import APIRouter
from wardgate.gateway.control.models import (
    ApplyRequest,
    Number,
    PlanDocument,
    PlanRequest,
    PolicyDocument,
    PolicyWithFiles,
    RollbackRequest,
)
from wardgate.gateway.control.operations import Control
from wardgate.gateway.control.request import Actor


def policy_router(control: Control) -> APIRouter:
    """`/v1/policy`."""
    router = APIRouter(prefix="/v1/policy", tags=["policy"])

    @router.get("", operation_id="show_policy")
    async def show_policy(number: Number = None) -> PolicyWithFiles:
        return PolicyWithFiles.shown(await control.policies.show(number))

    @router.get("/history", operation_id="policy_history")
    async def policy_history() -> list[PolicyDocument]:
        return [PolicyDocument.of(policy) for policy in await control.policies.history()]

    @router.post("/plan", operation_id="plan_policy")
    async def plan_policy(request: PlanRequest) -> PlanDocument:
        return PlanDocument.of(await control.policies.plan(request.bundle.bundle()))

    @router.post("/apply", operation_id="apply_policy")
    async def apply_policy(actor: Actor, request: ApplyRequest) -> PolicyDocument:
        bundle = request.bundle.bundle()
        return PolicyDocument.of(await control.policies.apply(actor, bundle, request.plan_digest))

    @router.post("/rollback", operation_id="rollback_policy")
    async def rollback_policy(actor: Actor, request: RollbackRequest) -> PolicyDocument:
        return PolicyDocument.of(await control.policies.rollback(actor, request.number))

    return router
