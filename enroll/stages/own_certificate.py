"""A certificate that was issued here is good now, whoever it belongs to."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from enroll.certificates import CertificateRecord
from enroll.credentials import ShownCertificate
from enroll.failures import EnrollmentError, NotAuthorized
from enroll.policy.renewal import check_valid_now
from enroll.ports import CertificateAuthority, Clock, UnitOfWork
from enroll.profiles import CertificateClass
from enroll.shown import check_uncompromised
from enroll.trace import DecisionTrace

_CLIENT_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


async def issued_here(credential: ShownCertificate, uow: UnitOfWork) -> CertificateRecord | None:
    """Find the very certificate in the registry, if it was issued here."""
    fingerprint = credential.leaf.fingerprint(hashes.SHA256()).hex()
    record = await uow.certificates.by_fingerprint(fingerprint)
    if record is None or record.certificate_class is CertificateClass.THIRD_PARTY:
        return None
    return record


class CheckOwn:
    """Checks what RFC 5280 §6 asks of a certificate that is in the registry."""

    def __init__(self, authority: CertificateAuthority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock

    async def __call__(
        self, record: CertificateRecord, grace: timedelta, uow: UnitOfWork, trace: DecisionTrace
    ) -> None:
        """Take it within the grace after its end. Raises EnrollmentError."""
        if record.device_id is not None:
            trace.device = await uow.devices.by_id(record.device_id)
        try:
            self._authority.check_issued(record)
            check_valid_now(record, self._clock.now(), grace)
            check_uncompromised(await uow.keys.find(record.spki_sha256))
            _check_client_purpose(record.certificate)
        except EnrollmentError as error:
            trace.failed("client certificate", error.finding)
            raise
        over = ", expired, within the grace" if self.has_expired(record) else ""
        trace.passed("client certificate", f"{record.profile} {record.serial_number}{over}")

    def has_expired(self, record: CertificateRecord) -> bool:
        return self._clock.now() > record.not_valid_after


def _check_client_purpose(leaf: x509.Certificate) -> None:
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not _CLIENT_PURPOSES.intersection(purposes):
        raise NotAuthorized(
            "the presented certificate is not meant for TLS clients",
            finding="certificate_purpose",
        )
