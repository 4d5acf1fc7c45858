"""`/api/v1/certificates/{serial}:revoke`, `:hold`, `:release`: who may, and what comes of it."""

import json
from typing import Any

import pytest

from enroll.access_keys import PERMITTED, AccessKeys, Permission, Role
from enroll.events import EventName
from protocols.wire import WireResponse
from server.api.certificates import Certificates
from server.api.endpoint import API
from server.backoff import Backoff
from tests.support.enrollment import OPERATOR, Held, Site, open_site
from tests.support.wire import a_wire


class Desk:
    """REST of one site, with a key of one role."""

    def __init__(self, site: Site, key: str) -> None:
        backoff = Backoff(burst=3, per_second=1, monotonic=lambda: 0.0)
        keys = AccessKeys(site.registry, site.vault, site.clock, site.randomness)
        self.api = API(keys, backoff, (Certificates(site.registry, site.lifecycle).resource,))
        self.key = key

    async def post(self, resource: str, body: object = None) -> WireResponse:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        octets = json.dumps(body).encode() if body is not None else b""
        return await self.api(
            a_wire(f"certificates/{resource}", method="POST", body=octets, headers=headers)
        )


async def a_desk(role: Role = Role.DEVICE_ADMIN) -> tuple[Desk, Site, Held, str]:
    site = await open_site()
    held = await site.enroll()
    keys = AccessKeys(site.registry, site.vault, site.clock, site.randomness)
    made = await keys.make("desk", role, lifetime=None, actor=OPERATOR)
    return Desk(site, made.clear), site, held, f"{held.certificate.serial_number:x}"


def told(answer: WireResponse) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("role", sorted(set(Role) - PERMITTED[Permission.STOP_CERTIFICATE]))
async def test_DC28_a_role_without_the_permission_stops_nothing(role: Role) -> None:
    desk, site, held, serial = await a_desk(role)

    answer = await desk.post(f"{serial}:revoke", {"reason": "superseded"})

    assert (answer.status, told(answer)["code"]) == (403, "forbidden")
    assert (await site.record_of(held)).revoked_at is None


@pytest.mark.parametrize("role", sorted(PERMITTED[Permission.STOP_CERTIFICATE]))
async def test_DC28_a_role_with_the_permission_revokes(role: Role) -> None:
    desk, site, _, serial = await a_desk(role)

    answer = await desk.post(f"{serial}:revoke", {"reason": "keyCompromise"})

    assert answer.status == 200
    assert (told(answer)["status"], told(answer)["revocation_reason"]) == (
        "revoked",
        "keyCompromise",
    )
    (event,) = [e for e in await site.events() if e.name is EventName.CERTIFICATE_REVOKED]
    assert event.actor.startswith("key:")


async def test_a_certificate_is_held_and_released() -> None:
    desk, _, _, serial = await a_desk()

    held = await desk.post(f"{serial}:hold")
    twice = await desk.post(f"{serial}:hold")
    released = await desk.post(f"{serial}:release", {})
    again = await desk.post(f"{serial}:release")

    assert told(held)["status"] == "on_hold"
    assert told(held)["held_by"].startswith("key:")
    assert (told(released)["status"], told(released)["revoked_at"]) == ("active", None)
    for refused in (twice, again):
        assert (refused.status, told(refused)["code"]) == (409, "state_conflict")


@pytest.mark.parametrize(
    ("resource", "body", "status", "code"),
    [
        ("7777:revoke", {"reason": "superseded"}, 404, "not_found"),
        ("{serial}:revoke", None, 422, "reason"),
        ("{serial}:revoke", {"reason": "certificateHold"}, 422, "reason"),
        ("{serial}:revoke", {"reason": ["superseded"]}, 422, "reason"),
        ("{serial}:revoke", {"reasons": "superseded"}, 422, "unknown_field"),
        ("{serial}:hold", {"reason": "superseded"}, 422, "unknown_field"),
        ("{serial}:hold", [], 422, "unknown_field"),
        ("{serial}:burn", None, 404, "not_found"),
        ("xyz:hold", None, 404, "not_found"),
        ("{serial}", None, 404, "not_found"),
    ],
)
async def test_what_cannot_be_done_is_told_by_its_code(
    resource: str, body: object, status: int, code: str
) -> None:
    desk, site, held, serial = await a_desk()

    answer = await desk.post(resource.format(serial=serial), body)

    assert (answer.status, told(answer)["code"]) == (status, code)
    assert (await site.record_of(held)).revoked_at is None


async def test_interface_a_serial_is_taken_as_people_have_it() -> None:
    desk, _, _, serial = await a_desk()
    digits = serial.zfill(len(serial) + len(serial) % 2)
    pairs = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()

    answer = await desk.post(f"00:{pairs}:hold")

    assert told(answer)["serial_number"] == serial
