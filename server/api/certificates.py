"""`POST /api/v1/certificates/{serial}:revoke`, `:hold` and `:release`, as the command line does."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from enroll.access_keys import Permission
from enroll.certificates import CertificateRecord, Measure, RevocationReason
from enroll.failures import Refused
from enroll.lifecycle import Lifecycle
from enroll.ports import Registry
from protocols.wire import WireResponse
from server.api.bodies import read_fields
from server.api.endpoint import Call, Resource
from server.api.problems import Problem, answer
from server.times import rfc3339

_REASONS = {
    each.value: each for each in RevocationReason if each is not RevocationReason.CERTIFICATE_HOLD
}


class Certificates:
    """Stops certificates for whoever holds a key that may."""

    def __init__(self, registry: Registry, lifecycle: Lifecycle) -> None:
        self._registry = registry
        self._lifecycle = lifecycle

    @property
    def resource(self) -> Resource:
        return Resource(
            path=re.compile(r"certificates/([0-9a-fA-F:]{1,80}):(revoke|hold|release)"),
            method="POST",
            permission=Permission.STOP_CERTIFICATE,
            run=self._stop,
        )

    async def _stop(self, call: Call) -> WireResponse:
        """Do it (200), and show the certificate as it is then."""
        serial, verb = call.names
        measure = Measure(verb)
        fields = read_fields(call, {"reason"} if measure is Measure.REVOKE else frozenset())
        record = await self._find(serial)
        try:
            after = await self._apply(measure, record, fields, call.actor)
        except Refused as error:
            raise Problem(HTTPStatus.CONFLICT, "state_conflict", str(error)) from error
        return answer(HTTPStatus.OK, _shown(after))

    async def _apply(
        self, measure: Measure, record: CertificateRecord, fields: Mapping[str, object], actor: str
    ) -> CertificateRecord:
        match measure:
            case Measure.REVOKE:
                reason = _reason(fields.get("reason"))
                return await self._lifecycle.revoke(record, reason, actor=actor)
            case Measure.HOLD:
                return await self._lifecycle.hold(record, actor=actor)
            case Measure.RELEASE:
                return await self._lifecycle.release(record, actor=actor)

    async def _find(self, serial: str) -> CertificateRecord:
        digits = serial.replace(":", "").lower().lstrip("0") or "0"
        async with self._registry.unit_of_work() as uow:
            found = await uow.certificates.by_serial(digits)
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", f"there is no certificate {digits}")
        if len(found) > 1:
            names = ", ".join(each.issuer for each in found)
            raise Problem(HTTPStatus.CONFLICT, "ambiguous", f"several issuers have it: {names}")
        return found[0]


def _reason(text: object) -> RevocationReason:
    found = _REASONS.get(text) if isinstance(text, str) else None
    if found is None:
        names = ", ".join(_REASONS)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "reason", f"reason: expected one of {names}")
    return found


def _shown(record: CertificateRecord) -> dict[str, object]:
    reason, stopped = record.revocation_reason, record.revoked_at
    return {
        "serial_number": record.serial_number,
        "fingerprint": record.fingerprint,
        "issuer": record.issuer,
        "device": record.device_id,
        "profile": record.profile,
        "status": record.status.value,
        "revoked_at": rfc3339(stopped) if stopped is not None else None,
        "revocation_reason": reason.value if reason is not None else None,
        "held_by": record.held_by,
    }
