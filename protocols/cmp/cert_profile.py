"""certProfile: the enrollment profile that a message names in its header (RFC 9810 §5.1.1.4)."""

from enroll.failures import FailureReason, Malformed, PolicyViolation
from protocols.cmp.messages import (
    Body,
    CertificationRequest,
    CertReqMessages,
    GenMsgContent,
    PKIHeader,
)


def profile_named(header: PKIHeader, addressed: str | None) -> str | None:
    """Give the name of the profile that is meant: the header's, or else the address's.

    One message is for one profile here. Raises Malformed where the header names two, and
    BAD_CERTIFICATE_TEMPLATE where it names another than the address.
    """
    names = {each for each in header.cert_profile if each}
    if len(names) > 1:
        raise Malformed("certProfile names several profiles", finding="profile_count")
    named = next(iter(names), addressed)
    if addressed not in {None, named}:
        raise PolicyViolation(
            FailureReason.BAD_CERTIFICATE_TEMPLATE,
            "certProfile and the address name different profiles",
            finding="cert_profile_contradiction",
        )
    return named


def check_count(header: PKIHeader, body: Body) -> None:
    """Demand no more names than requests. Raises Malformed."""
    requests = _requests_in(body)
    if requests is not None and len(header.cert_profile) > requests:
        raise Malformed(
            f"certProfile has {len(header.cert_profile)} names for {requests} requests",
            finding="profile_count",
        )


def unknown_profile() -> PolicyViolation:
    return PolicyViolation(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        "certProfile names no profile that is reached by CMP",
        finding="cert_profile_unknown",
    )


def _requests_in(body: Body) -> int | None:
    """Count what a name could be for; None where the message follows one that was."""
    match body:
        case CertReqMessages():
            return len(body.messages)
        case CertificationRequest():
            return 1
        case GenMsgContent():
            return len(body.infos)
        case _:
            return None
