"""Why an enrollment was refused: one vocabulary for all protocols, and its exceptions."""

from enum import StrEnum


class FailureReason(StrEnum):
    """What every protocol must be able to say; each maps all of these to its own words."""

    MALFORMED_REQUEST = "malformed_request"
    BAD_MESSAGE_CHECK = "bad_message_check"
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    BAD_TIME = "bad_time"
    BAD_PROOF_OF_POSSESSION = "bad_proof_of_possession"
    NOT_AUTHENTICATED = "not_authenticated"
    SIGNER_NOT_TRUSTED = "signer_not_trusted"
    UNKNOWN_DEVICE = "unknown_device"
    NOT_AUTHORIZED = "not_authorized"
    BAD_CERTIFICATE_TEMPLATE = "bad_certificate_template"
    UNACCEPTED_EXTENSION = "unaccepted_extension"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    CERTIFICATE_REVOKED = "certificate_revoked"
    TRANSACTION_CONFLICT = "transaction_conflict"
    RATE_LIMITED = "rate_limited"
    CA_UNAVAILABLE = "ca_unavailable"
    INTERNAL = "internal"


class EnrollmentError(Exception):
    """A refusal. `detail` explains it to an operator; callers see a fixed sentence per reason.

    `finding` is the operator's short code for the cause (`code_expired`, `identity_conflict`);
    `field` names the part of the request at fault where the caller may be told
    (`subject`, `subjectAltName`, `publicKey`).
    """

    def __init__(
        self,
        reason: FailureReason,
        detail: str,
        *,
        finding: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.finding = finding or reason.value
        self.field = field


class Malformed(EnrollmentError):  # noqa: N818 - says what the message is
    """The message cannot be read."""

    def __init__(self, detail: str, *, finding: str | None = None) -> None:
        super().__init__(FailureReason.MALFORMED_REQUEST, detail, finding=finding)


class NotAuthenticated(EnrollmentError):  # noqa: N818 - says what the caller is
    """No credential proved the caller. Every cause gives the same answer on the wire."""

    def __init__(self, detail: str, *, finding: str | None = None) -> None:
        super().__init__(FailureReason.NOT_AUTHENTICATED, detail, finding=finding)


class NotAuthorized(EnrollmentError):  # noqa: N818 - says what the caller is
    """The caller is proven, and may not have this now."""

    def __init__(
        self, detail: str, *, finding: str | None = None, field: str | None = None
    ) -> None:
        super().__init__(FailureReason.NOT_AUTHORIZED, detail, finding=finding, field=field)


class PolicyViolation(EnrollmentError):  # noqa: N818 - says what the request is
    """The request asks for what no certificate of this profile may hold."""


class AuthorityUnavailable(EnrollmentError):  # noqa: N818 - says what the authority is
    """The CA or the registry cannot serve now; try again after `retry_after` seconds."""

    def __init__(
        self, detail: str, *, finding: str = "ca_unavailable", retry_after: int = 5
    ) -> None:
        super().__init__(FailureReason.CA_UNAVAILABLE, detail, finding=finding)
        self.retry_after = retry_after


class RateLimited(EnrollmentError):  # noqa: N818 - says what the caller is
    """The caller asked too often; try again after `retry_after` seconds."""

    def __init__(self, detail: str, *, finding: str, retry_after: int) -> None:
        super().__init__(FailureReason.RATE_LIMITED, detail, finding=finding)
        self.retry_after = retry_after


class RegistryUnavailable(AuthorityUnavailable):
    """The registry's database cannot be read or written now; nothing was stored."""

    def __init__(self, detail: str, *, retry_after: int = 5) -> None:
        super().__init__(detail, finding="registry_unavailable", retry_after=retry_after)


class NotFound(Exception):  # noqa: N818 - what a lookup says
    """What an operator named is not in the registry."""


class Refused(Exception):  # noqa: N818 - what a guard says
    """What an operator asked for is against policy or the object's present state."""


class ConcurrentChange(Exception):  # noqa: N818 - an event, not a fault of the caller's
    """What this unit of work had read was changed before it committed; nothing was stored.

    Run the whole unit again: its reads will see the change.
    """


class AlreadyTaken(Exception):  # noqa: N818 - as above
    """A value that must be unique belongs to another row; nothing was stored.

    `what` names it: device_name, identity, public_key, slug, serial_number, name,
    key_identifier.
    """

    def __init__(self, what: str, value: str) -> None:
        super().__init__(f"{what.replace('_', ' ')} {value!r} is already taken")
        self.what = what
        self.value = value
