"""How CMC words a failure: one total table, and errors that know their body parts."""

from collections.abc import Mapping
from typing import Self

from enroll.failures import EnrollmentError, FailureReason
from enroll.result import Rejected
from protocols.cmc.messages import WHOLE_MESSAGE, FailInfo, Status

# UNKNOWN_DEVICE and NOT_AUTHORIZED are one and the same on the wire, so that nobody learns which
# devices there are.
FAIL_INFO: Mapping[FailureReason, FailInfo] = {
    FailureReason.MALFORMED_REQUEST: FailInfo.BAD_REQUEST,
    FailureReason.BAD_MESSAGE_CHECK: FailInfo.BAD_MESSAGE_CHECK,
    FailureReason.UNSUPPORTED_ALGORITHM: FailInfo.BAD_ALG,
    FailureReason.BAD_TIME: FailInfo.BAD_TIME,
    FailureReason.BAD_PROOF_OF_POSSESSION: FailInfo.POP_FAILED,
    FailureReason.NOT_AUTHENTICATED: FailInfo.BAD_IDENTITY,
    FailureReason.SIGNER_NOT_TRUSTED: FailInfo.BAD_IDENTITY,
    FailureReason.UNKNOWN_DEVICE: FailInfo.BAD_REQUEST,
    FailureReason.NOT_AUTHORIZED: FailInfo.BAD_REQUEST,
    FailureReason.BAD_CERTIFICATE_TEMPLATE: FailInfo.BAD_REQUEST,
    FailureReason.UNACCEPTED_EXTENSION: FailInfo.UNSUPPORTED_EXT,
    FailureReason.CERTIFICATE_UNKNOWN: FailInfo.BAD_CERT_ID,
    FailureReason.CERTIFICATE_REVOKED: FailInfo.BAD_IDENTITY,
    FailureReason.TRANSACTION_CONFLICT: FailInfo.BAD_REQUEST,
    FailureReason.RATE_LIMITED: FailInfo.TRY_LATER,
    FailureReason.CA_UNAVAILABLE: FailInfo.TRY_LATER,
    FailureReason.INTERNAL: FailInfo.INTERNAL_CA_ERROR,
}
# What RFC 5272 has a word of its own for.
_BY_FINDING: Mapping[str, FailInfo] = {
    "key_reused": FailInfo.NO_KEY_REUSE,
    "pop_missing": FailInfo.POP_REQUIRED,
}


class CMCFault(EnrollmentError):  # noqa: N818 - says what is wrong with the message
    """A fault of certain body parts of the message."""

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        body_parts: tuple[int, ...],
        *,
        finding: str | None = None,
        field: str | None = None,
        status: Status = Status.FAILED,
    ) -> None:
        super().__init__(reason, detail, finding=finding, field=field)
        self.body_parts = body_parts
        self.status = status

    @classmethod
    def about(cls, body_parts: tuple[int, ...], error: EnrollmentError) -> Self:
        """Say of an error which body parts it is about."""
        return cls(error.reason, error.detail, body_parts, finding=error.finding, field=error.field)


def bad_request(
    detail: str,
    *body_parts: int,
    finding: str | None = None,
    status: Status = Status.FAILED,
) -> CMCFault:
    return CMCFault(
        FailureReason.MALFORMED_REQUEST,
        detail,
        body_parts or (WHOLE_MESSAGE,),
        finding=finding,
        status=status,
    )


def fail_info(rejected: Rejected) -> FailInfo:
    return _BY_FINDING.get(rejected.finding, FAIL_INFO[rejected.reason])
