"""The API's paths for users, devices, enrolment tokens and sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from wardgate.gateway.challenges.state import UserState
from wardgate.gateway.control.models import (
    Configuration,
    DeviceDocument,
    DeviceList,
    Done,
    IssuedToken,
    Membership,
    Name,
    NewDevice,
    NewKey,
    NewName,
    NewToken,
    NewUser,
    SessionDocument,
    SessionList,
    Text,
    TokenDocument,
    UserList,
)
from wardgate.gateway.control.operations import Control
from wardgate.gateway.control.request import Actor
from wardgate.gateway.records import User


async def _listed(document: Callable[[], BaseModel]) -> Response:
    """A document that may be long: ten thousand devices take a tenth of a second, in which nobody else would
    be answered if it were not in a thread."""
    data = await asyncio.to_thread(lambda: document().model_dump_json().encode())
    return Response(data, media_type="application/json")


def users_router(control: Control) -> APIRouter:
    """`/v1/users`."""
    router = APIRouter(prefix="/v1/users", tags=["users"])

    @router.get("", operation_id="list_users", response_model=UserList)
    async def list_users() -> Response:
        users = await control.users.list()
        return await _listed(lambda: UserList(list(users)))

    @router.post("", status_code=201, operation_id="add_user")
    async def add_user(actor: Actor, new: NewUser) -> User:
        return await control.users.add(actor, new.name, tuple(new.groups))

    @router.get("/{name}", operation_id="show_user")
    async def show_user(name: Name) -> User:
        return await control.users.get(name)

    @router.delete("/{name}", operation_id="remove_user")
    async def remove_user(actor: Actor, name: Name) -> Done:
        await control.users.remove(actor, name)
        return Done()

    @router.post("/{name}/lock", operation_id="lock_user")
    async def lock_user(actor: Actor, name: Name) -> User:
        return await control.users.lock(actor, name)

    @router.post("/{name}/unlock", operation_id="unlock_user")
    async def unlock_user(actor: Actor, name: Name) -> User:
        return await control.users.unlock(actor, name)

    @router.post("/{name}/groups", operation_id="join_group")
    async def join_group(actor: Actor, name: Name, membership: Membership) -> User:
        return await control.users.join(actor, name, membership.group)

    @router.delete("/{name}/groups/{group}", operation_id="leave_group")
    async def leave_group(actor: Actor, name: Name, group: Name) -> User:
        return await control.users.leave(actor, name, group)

    @router.get("/{name}/factors", operation_id="show_factors")
    async def show_factors(name: Name) -> UserState:
        return await control.challenges.state((await control.users.get(name)).name)

    @router.post("/{name}/reset-mfa", operation_id="reset_mfa")
    async def reset_mfa(actor: Actor, name: Name) -> Done:
        await control.challenges.reset(actor, (await control.users.get(name)).name)
        return Done()

    @router.post("/{name}/unlock-login", operation_id="unlock_login")
    async def unlock_login(actor: Actor, name: Name) -> Done:
        await control.challenges.unlock(actor, (await control.users.get(name)).name)
        return Done()

    return router


def devices_router(control: Control) -> APIRouter:
    """`/v1/devices`: a device is named by its id; `?find=` finds it by what people call it."""
    router = APIRouter(prefix="/v1/devices", tags=["devices"])

    @router.get("", operation_id="list_devices", response_model=DeviceList)
    async def list_devices(
        user: Annotated[Text | None, Query(description="Only this user's.")] = None,
        find: Annotated[
            Text | None,
            Query(description="Only the one with this id, USER/NAME, tunnel address or public key."),
        ] = None,
    ) -> Response:
        if find is None:
            found = await control.devices.list(user)
        else:
            found = [one for one in [await control.devices.find(find)] if user in (None, one.user)]
        return await _listed(lambda: DeviceList([DeviceDocument.of(device) for device in found]))

    @router.post("", status_code=201, operation_id="add_device")
    async def add_device(actor: Actor, new: NewDevice) -> DeviceDocument:
        device = await control.devices.add(
            actor,
            new.user,
            new.name,
            new.public_key,
            addresses=tuple(new.addresses),
            preshared=new.preshared,
            keepalive=new.keepalive,
        )
        return DeviceDocument.of(device)

    @router.get("/{device}", operation_id="show_device")
    async def show_device(device: Name) -> DeviceDocument:
        return DeviceDocument.of(await control.devices.find(device))

    @router.delete("/{device}", operation_id="remove_device")
    async def remove_device(actor: Actor, device: Name) -> Done:
        await control.devices.remove(actor, device)
        return Done()

    @router.post("/{device}/rename", operation_id="rename_device")
    async def rename_device(actor: Actor, device: Name, new: NewName) -> DeviceDocument:
        return DeviceDocument.of(await control.devices.rename(actor, device, new.name))

    @router.post("/{device}/replace-key", operation_id="replace_key")
    async def replace_key(actor: Actor, device: Name, new: NewKey) -> DeviceDocument:
        return DeviceDocument.of(await control.devices.replace_key(actor, device, new.public_key))

    @router.post("/{device}/lock", operation_id="lock_device")
    async def lock_device(actor: Actor, device: Name) -> DeviceDocument:
        return DeviceDocument.of(await control.devices.lock(actor, device))

    @router.post("/{device}/unlock", operation_id="unlock_device")
    async def unlock_device(actor: Actor, device: Name) -> DeviceDocument:
        return DeviceDocument.of(await control.devices.unlock(actor, device))

    @router.get("/{device}/config", operation_id="device_configuration")
    async def device_configuration(device: Name) -> Configuration:
        found = await control.devices.find(device)
        return Configuration(device=DeviceDocument.of(found), text=await control.configuration(found))

    return router


def tokens_router(control: Control) -> APIRouter:
    """`/v1/tokens`."""
    router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

    @router.get("", operation_id="list_tokens")
    async def list_tokens() -> list[TokenDocument]:
        return [TokenDocument.of(token) for token in await control.tokens.list()]

    @router.post("", status_code=201, operation_id="issue_token")
    async def issue_token(actor: Actor, new: NewToken) -> IssuedToken:
        token, text = await control.tokens.issue(
            actor,
            new.user,
            uses=new.uses,
            lifetime_s=new.lifetime,
            groups=tuple(new.groups),
            addresses=tuple(new.addresses),
            replaces=new.replaces,
        )
        page = control.enrolment_page
        # Behind `#`: browsers send that part to no server, so it is in no log.
        link = f"{page}#token={text}" if page else ""
        return IssuedToken(token=TokenDocument.of(token), text=text, link=link)

    @router.delete("/{token}", operation_id="revoke_token")
    async def revoke_token(actor: Actor, token: Name) -> Done:
        await control.tokens.revoke(actor, token)
        return Done()

    return router


def sessions_router(control: Control) -> APIRouter:
    """`/v1/sessions`."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.get("", operation_id="list_sessions", response_model=SessionList)
    async def list_sessions() -> Response:
        found = await control.sessions.list()
        return await _listed(lambda: SessionList([SessionDocument.of(session) for session in found]))

    @router.delete("/{device}", operation_id="end_session")
    async def end_session(actor: Actor, device: Name) -> Done:
        await control.sessions.end(actor, device)
        return Done()

    return router
