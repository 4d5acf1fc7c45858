"""`POST /api/v1/devices/{id}/enrollment-codes`: who may, with what, and what comes of it."""

import itertools
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from enroll.access_keys import PERMITTED, AccessKeys, Permission, Role
from enroll.credentials import OneTimeCode
from enroll.events import EventName
from protocols.wire import TransportFault, WireResponse
from server.api.endpoint import API
from server.api.enrollment_codes import EnrollmentCodes
from server.backoff import Backoff
from tests.support.enrollment import OPERATOR, Site, open_site
from tests.support.interruptions import InterruptedRegistry, the_database_is_gone
from tests.support.wire import a_wire

BURST = 3


class Desk:
    """REST of one site, and a key of each role."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.keys = AccessKeys(site.registry, site.vault, site.clock, site.randomness)
        moments = itertools.count()
        backoff = Backoff(burst=BURST, per_second=0.001, monotonic=lambda: float(next(moments)))
        self.api = API(self.keys, backoff, (EnrollmentCodes(site.registration).resource,))

    async def key(self, role: Role = Role.INTEGRATION, lifetime: timedelta | None = None) -> str:
        return (await self.keys.make("mdm", role, lifetime=lifetime, actor=OPERATOR)).clear

    async def post(
        self,
        bearer: str | None,
        device_id: str,
        body: bytes = b"",
        *,
        media_type: str = "application/json",
        method: str = "POST",
        resource: str = "enrollment-codes",
        fault: TransportFault | None = None,
    ) -> WireResponse:
        headers = {"Content-Type": media_type}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        wire = a_wire(
            f"devices/{device_id}/{resource}",
            method=method,
            body=body,
            headers=headers,
            fault=fault,
        )
        return await self.api(wire)


async def a_desk() -> tuple[Desk, str]:
    site = await open_site()
    device = await site.register("pump-1")
    return Desk(site), device.device_id


async def codes(site: Site) -> Sequence[OneTimeCode]:
    device = await site.device("pump-1")
    async with site.registry.unit_of_work() as uow:
        return await uow.codes.of_device(device.device_id)


def told(answer: WireResponse) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize(
    "bearer",
    [
        None,
        "",
        "ak_",
        "ak_000000000000_" + "A" * 43,
        "ak_0000000000zz_" + "A" * 43,
        "\u00e4k_" + "x" * 60,
    ],
)
async def test_security_S8_whoever_shows_no_good_key_gets_one_answer(bearer: str | None) -> None:
    desk, device_id = await a_desk()

    there = await desk.post(bearer, device_id)
    nowhere = await desk.post(bearer, "0" * 36, resource="anything")

    assert there.status == nowhere.status == 401
    assert there.body == nowhere.body
    assert dict(there.headers)["WWW-Authenticate"].startswith("Bearer ")


async def test_a_key_with_one_character_changed_is_no_key() -> None:
    desk, device_id = await a_desk()
    key = await desk.key()
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")

    assert (await desk.post(wrong, device_id)).status == 401
    assert (await desk.post(key, device_id)).status == 201


async def test_many_wrong_keys_slow_their_address_down_even_with_a_good_one() -> None:
    desk, device_id = await a_desk()
    key = await desk.key()
    for _ in range(BURST):
        assert (await desk.post("ak_wrong", device_id)).status == 401

    answer = await desk.post(key, device_id)

    assert answer.status == 429
    assert int(dict(answer.headers)["Retry-After"]) > 0


async def test_a_revoked_key_is_refused_at_once() -> None:
    desk, device_id = await a_desk()
    key = await desk.key()
    (kept,) = await desk.keys.list()

    await desk.keys.revoke(kept.key_id, actor=OPERATOR)

    assert (await desk.post(key, device_id)).status == 401


async def test_a_key_is_refused_after_its_time() -> None:
    desk, device_id = await a_desk()
    key = await desk.key(lifetime=timedelta(days=1))
    assert (await desk.post(key, device_id)).status == 201

    desk.site.clock.advance(timedelta(days=1))

    assert (await desk.post(key, device_id)).status == 401


@pytest.mark.parametrize("role", Role)
async def test_only_roles_that_may_make_codes_do(role: Role) -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(role), device_id)

    permitted = role in PERMITTED[Permission.MAKE_CODE]
    assert answer.status == (201 if permitted else 403)
    assert len(await codes(desk.site)) == int(permitted)


async def test_lifecycle_SM10_an_mdm_system_fetches_a_code_of_its_own_terms() -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(), device_id, b'{"ttl": "15m", "uses": 1}')

    document = told(answer)
    assert answer.status == 201
    assert dict(answer.headers)["Cache-Control"] == "no-store"
    assert document["name"] == "pump-1"
    (code,) = await codes(desk.site)
    assert desk.site.vault.digest(document["code"]) == code.digest
    assert code.expires_at == desk.site.clock.now() + timedelta(minutes=15)
    (created,) = [each for each in await desk.site.events() if each.name is EventName.CODE_CREATED]
    assert created.actor.startswith("key:")


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"[]", "application/json", 422, "unknown_field"),
        (b'{"ttl": "7d", "device": "x"}', "application/json", 422, "unknown_field"),
        (b'{"ttl": "soon"}', "application/json", 422, "ttl"),
        (b'{"ttl": "0s"}', "application/json", 422, "out_of_range"),
        (b'{"uses": true}', "application/json", 422, "uses"),
        (b'{"uses": 0}', "application/json", 422, "out_of_range"),
        (b"ttl=7d", "application/x-www-form-urlencoded", 415, "media_type"),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_told_what_is_wrong(
    body: bytes, media_type: str, status: int, code: str
) -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(), device_id, body, media_type=media_type)

    assert (answer.status, told(answer)["code"]) == (status, code)
    assert answer.media_type == "application/problem+json"
    assert not await codes(desk.site)


async def test_a_device_that_is_not_there_is_not_found() -> None:
    desk, _ = await a_desk()
    key = await desk.key()

    missing = await desk.post(key, "00000000-0000-0000-0000-000000000000")
    by_name = await desk.post(key, "pump-1")

    assert (missing.status, by_name.status) == (404, 404)


async def test_another_method_is_told_which_one_there_is() -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(), device_id, method="GET")

    assert answer.status == 405
    assert dict(answer.headers)["Allow"] == "POST"


async def test_a_body_that_was_not_read_is_refused() -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(), device_id, fault=TransportFault.TOO_LARGE)

    assert answer.status == 413


async def test_a_request_without_a_length_has_no_body() -> None:
    desk, device_id = await a_desk()

    answer = await desk.post(await desk.key(), device_id, fault=TransportFault.LENGTH_REQUIRED)

    assert answer.status == 201


async def test_a_registry_that_is_gone_is_told_as_such() -> None:
    registry = InterruptedRegistry()
    site = await open_site(registry=registry)
    device = await site.register("pump-1")
    desk = Desk(site)
    key = await desk.key()
    registry.interruptions += (the_database_is_gone,)

    answer = await desk.post(key, device.device_id)

    assert answer.status == 503
    assert "Retry-After" in dict(answer.headers)


async def test_a_key_is_kept_as_a_digest_and_never_shown_again() -> None:
    desk, _ = await a_desk()

    made = await desk.keys.make("mdm", Role.INTEGRATION, lifetime=None, actor=OPERATOR)

    secret = made.clear.rpartition("_")[2]
    assert secret not in repr(made)
    (kept,) = await desk.keys.list()
    assert kept == made.key
    assert secret.encode() not in kept.digest
