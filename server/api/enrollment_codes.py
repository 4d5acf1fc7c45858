"""`POST /api/v1/devices/{id}/enrollment-codes`: an MDM system fetches a device's next code."""

import re
from datetime import timedelta
from http import HTTPStatus

from enroll.access_keys import Permission
from enroll.registration import CODE_LIFETIME, CodeTerms, Registration, RegistrationError
from protocols.wire import WireResponse
from server.api.bodies import read_fields
from server.api.endpoint import Call, Resource
from server.api.problems import Problem, answer
from server.times import parse_duration, rfc3339

_KNOWN = frozenset({"ttl", "uses"})


class EnrollmentCodes:
    """Makes codes for whoever holds a key that may."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    @property
    def resource(self) -> Resource:
        return Resource(
            path=re.compile(r"devices/([0-9a-f-]{36})/enrollment-codes"),
            method="POST",
            permission=Permission.MAKE_CODE,
            run=self._make,
        )

    async def _make(self, call: Call) -> WireResponse:
        """Make a code (201); it is in this answer and never shown again."""
        (device_id,) = call.names
        try:
            device, made = await self._registration.make_code(
                device_id, _terms(call), actor=call.actor
            )
        except RegistrationError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "out_of_range", str(error)) from error
        return answer(
            HTTPStatus.CREATED,
            {
                "id": device.device_id,
                "name": device.name,
                "state": device.state.value,
                "status": device.status.value,
                "code": made.clear,
                "code_expires_at": rfc3339(made.expires_at),
            },
        )


def _terms(call: Call) -> CodeTerms:
    """Read how long and how often the code is to be good; without a body, as usual."""
    wanted = read_fields(call, _KNOWN)
    uses = wanted.get("uses", 1)
    if type(uses) is not int:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "uses", "uses: expected a whole number")
    return CodeTerms(lifetime=_lifetime(wanted.get("ttl")), uses=uses)


def _lifetime(text: object) -> timedelta:
    if text is None:
        return CODE_LIFETIME
    try:
        return parse_duration(str(text))
    except ValueError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "ttl", f"ttl: {error}") from error
