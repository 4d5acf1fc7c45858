"""The device that a registration authority speaks for: its request names it (RFC 7030 §3.7)."""

from datetime import datetime

from enroll.certificates import CertificateRecord
from enroll.credentials import Authentication, CredentialKind
from enroll.device import Device
from enroll.failures import EnrollmentError, NotAuthorized
from enroll.policy.identities import claims_of
from enroll.policy.registration_authorities import check_may_speak, check_speaks_for
from enroll.policy.third_party import Proof, check_manufacturer, contradiction
from enroll.ports import UnitOfWork
from enroll.resolution import the_one_device
from enroll.steps import ActingAuthority, Addressed, Authenticated
from enroll.trace import DecisionTrace
from enroll.trust import TrustAnchor

NOTHING_PROVEN = Proof(names=frozenset(), identities=frozenset())


async def by_appointed(
    step: Addressed,
    record: CertificateRecord,
    anchor: TrustAnchor,
    at: datetime,
    uow: UnitOfWork,
    trace: DecisionTrace,
) -> Authenticated:
    """Take the word of an authority whose certificate is from here, and was found to be good.

    Raises EnrollmentError.
    """
    try:
        check_may_speak(anchor, step.profile, record)
        device = await device_spoken_for(step, anchor, record.spki_sha256, uow, trace)
    except EnrollmentError as error:
        trace.failed("registration authority", error.finding)
        raise
    trace.passed("registration authority", anchor.name)
    return Authenticated(
        addressed=step,
        authentication=Authentication(
            kind=CredentialKind.RA,
            device_id=device.device_id,
            credential_id=record.fingerprint,
            authenticated_at=at,
        ),
        acting=ActingAuthority(name=anchor.name, fingerprint=record.fingerprint),
    )


async def device_spoken_for(
    step: Addressed, anchor: TrustAnchor, own_key: str, uow: UnitOfWork, trace: DecisionTrace
) -> Device:
    """Find the device by the request alone: what is in the authority's certificate is its own.

    Raises EnrollmentError (UNKNOWN_DEVICE) and NotAuthorized.
    """
    trace.registration_authority = anchor.name
    request = step.request.certificate_request
    claimed = claims_of(request)
    device = await the_one_device(
        step.tenant.tenant_id, claimed.names, claimed.identities, claimed.device_ids, uow
    )
    trace.device = device
    check_speaks_for(anchor, step.policy.groups[device.group_id])
    trace.proven = True
    check_manufacturer(anchor, device)
    against = contradiction(device, NOTHING_PROVEN, anchor, request.spki_sha256)
    if against is not None:
        raise NotAuthorized(against[1], finding=against[0])
    if request.spki_sha256 == own_key:
        raise NotAuthorized(
            "the request is for the registration authority's own key",
            finding="key_reuse",
            field="publicKey",
        )
    return device
