"""A certificate is given again to the device that has it, and to nobody else."""

from datetime import datetime

from cryptography.hazmat.primitives import hashes

from enroll.certificates import CertificateRecord
from enroll.device import DeviceState
from enroll.failures import EnrollmentError, FailureReason
from enroll.policy.keys import spki_of
from enroll.ports import UnitOfWork
from enroll.profiles import CertificateClass
from enroll.request import CertificateQuery
from enroll.trace import DecisionTrace

_OF_DEVICES = frozenset({CertificateClass.BOOTSTRAP, CertificateClass.OPERATIONAL})


async def retrieve(
    query: CertificateQuery, uow: UnitOfWork, trace: DecisionTrace, now: datetime
) -> CertificateRecord:
    """Find the certificate that is asked for, if it is that of whoever asks (RFC 8894 §4.5).

    One that awaits its owner's word is given to nobody: that word may be its proof of possession.
    That is whoever shows its key, or a certificate of the same device that is good now. Raises
    EnrollmentError (CERTIFICATE_UNKNOWN), the same for what is not there and what is another's.
    """
    for record in await uow.certificates.by_serial(query.serial_number):
        named = record.certificate.issuer.public_bytes() == query.issuer
        if not named or record.certificate_class not in _OF_DEVICES or record.awaits_owner:
            continue
        device = await uow.devices.by_id(record.device_id or "")
        if device is None or device.state is DeviceState.DELETED:
            continue
        if await _is_its_own(query, record, uow, now):
            trace.device, trace.proven = device, True
            trace.passed("certificate", record.serial_number)
            return record
    trace.failed("certificate", "unknown, or another's")
    raise EnrollmentError(
        FailureReason.CERTIFICATE_UNKNOWN,
        f"no certificate {query.serial_number} of that issuer belongs to whoever asks",
        finding="certificate_unknown",
    )


async def _is_its_own(
    query: CertificateQuery, record: CertificateRecord, uow: UnitOfWork, now: datetime
) -> bool:
    signer = query.shown.leaf
    if spki_of(signer.public_key()) == spki_of(record.certificate.public_key()):
        return True
    shown = await uow.certificates.by_fingerprint(signer.fingerprint(hashes.SHA256()).hex())
    return (
        shown is not None
        and shown.is_live
        and shown.certificate_class in _OF_DEVICES
        and shown.device_id == record.device_id
        and shown.not_valid_before <= now <= shown.not_valid_after
    )
