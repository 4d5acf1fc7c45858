"""Certificate revocation lists (RFC 5280 §5)."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuers import Issuer
from enroll.certificates import RevocationList, RevocationReason, RevokedEntry


def make_crl(
    issuer: Issuer,
    entries: Sequence[RevokedEntry],
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revocation_version: int,
) -> RevocationList:
    """Sign a full CRL, version 2, with its number and the issuer's key identifier.

    An unspecified reason is left out (§5.3.1); a certificate on hold is listed as such.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(issuer.authority_key_identifier, critical=False)
    )
    # One call for all of them: adding one by one copies the list each time.
    builder._revoked_certificates = [_entry(each) for each in entries]  # noqa: SLF001
    signed = builder.sign(issuer.key, issuer.signature_hash)
    return RevocationList(
        issuer=issuer.name,
        number=number,
        der=signed.public_bytes(Encoding.DER),
        this_update=this_update,
        next_update=next_update,
        revocation_version=revocation_version,
    )


def _entry(entry: RevokedEntry) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(int(entry.serial_number, 16))
        .revocation_date(entry.revoked_at)
    )
    if entry.reason is not RevocationReason.UNSPECIFIED:
        reason = x509.CRLReason(x509.ReasonFlags(entry.reason.value))
        builder = builder.add_extension(reason, critical=False)
    return builder.build()
