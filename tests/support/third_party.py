"""Devices with certificates of other CAs, at a site that trusts some of them."""

from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.certificates import RevocationReason
from enroll.credentials import TLSClientCertificate
from enroll.events import EventName
from enroll.request import Operation
from enroll.result import EnrollmentResult, Issued, Rejected
from enroll.trust import TrustAnchor, TrustPurpose
from enroll.trust_administration import TrustAdministration
from tests.support.builders import (
    a_policy,
    a_trust_anchor,
)
from tests.support.chains import Authority, a_dn
from tests.support.csr import ECDSA_SHA256, a_name, sequence, sign, tlv
from tests.support.enrollment import (
    OPERATOR,
    Ask,
    Site,
    a_new_key,
    open_site,
)
from tests.support.registries import look

ROOT = Authority.root()
BETWEEN = ROOT.ca()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def maker(**changes: Any) -> TrustAnchor:
    """Register the maker by its root, with its intermediate at hand."""
    return a_trust_anchor(**{"der": ROOT.der, "intermediates": (BETWEEN.der,), **changes})


def customer(**changes: Any) -> TrustAnchor:
    """Register the same CAs as those of a customer, which vouch for whoever holds them."""
    return maker(purpose=TrustPurpose.AUTH_CA, **changes)


def idevid(serial: str = "SN-1", **changes: Any) -> x509.Certificate:
    return BETWEEN.issue(a_dn("Pump", serial_number=serial), **changes)


async def a_site(*parts: Any, **details: Any) -> Site:
    """Open a site that trusts the maker, or what is given, and knows pump-1 as SN-1."""
    site = await open_site(a_policy(*(parts or (maker(),))))
    await site.register("pump-1", **{"serial_number": "SN-1", **details})
    return site


def ask(**wishes: Any) -> Ask:
    return replace(
        Ask(operation=Operation.INITIAL, key=a_new_key(), subject=a_name("Pump")), **wishes
    )


async def show(
    site: Site, leaf: x509.Certificate, *above: Authority, wish: Ask | None = None
) -> EnrollmentResult:
    """Let a device ask for a certificate, with a chain in its handshake."""
    request = site.request(wish or ask())
    chain = (leaf, *(each.certificate for each in above))
    shown = (*request.credentials, TLSClientCertificate(chain=chain))
    return await site.pipeline.handle(replace(request, credentials=shown))


async def obtain(site: Site, leaf: x509.Certificate, wish: Ask | None = None) -> Issued:
    result = await show(site, leaf, wish=wish)
    assert isinstance(result, Issued), result
    return result


async def refused(
    site: Site, leaf: x509.Certificate, *above: Authority, wish: Ask | None = None
) -> Rejected:
    result = await show(site, leaf, *above, wish=wish)
    assert isinstance(result, Rejected), result
    attempt = (await site.attempts())[0]
    assert (attempt.finding, attempt.reason) == (result.finding, result.reason.value)
    assert not attempt.trace[-1].passed
    return result


def trust(site: Site) -> TrustAdministration:
    return TrustAdministration(site.registry, site.clock)


async def names_of_events(site: Site, name: str = "pump-1") -> list[EventName]:
    return [each.name for each in await site.events(name)]


def fingerprint_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def malleated(certificate: x509.Certificate) -> x509.Certificate:
    """Rewrite the signature as anybody can: of ECDSA's s, n - s is as good."""
    r, s = decode_dss_signature(certificate.signature)
    der = certificate.public_bytes(Encoding.DER)
    other = encode_dss_signature(r, P256_ORDER - s)
    body = certificate.tbs_certificate_bytes
    start = der.index(body) + len(body)
    algorithm = der[start : start + 2 + der[start + 1]]
    content = body + algorithm + bytes([3, len(other) + 1, 0]) + other
    header = b"\x30\x82" + len(content).to_bytes(2)
    return x509.load_der_x509_certificate(header + content)


async def revoke(site: Site, certificate: x509.Certificate, reason: RevocationReason) -> None:
    """Revoke what the registry keeps of a certificate, as `enroll certificate revoke` does."""
    number = f"{certificate.serial_number:x}"
    (record,) = await look(site.registry, lambda uow: uow.certificates.by_serial(number))
    await site.lifecycle.revoke(record, reason, actor=OPERATOR)


def with_serial_number(certificate: x509.Certificate, number: int) -> x509.Certificate:
    """Issue the certificate again under a number that no builder takes."""
    octets = number.to_bytes(21)
    short = b"\x02\x01\x07"
    template = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(7)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .sign(BETWEEN.key, hashes.SHA256())
    )
    whole = template.tbs_certificate_bytes
    content = whole[2 + (whole[1] & 0x7F if whole[1] >= 0x80 else 0) :]
    signed = sequence(content.replace(short, tlv(0x02, octets), 1))
    signature = sign(BETWEEN.key, signed)
    return x509.load_der_x509_certificate(
        sequence(signed, ECDSA_SHA256, tlv(0x03, b"\0", signature))
    )


def idevid_of(records: Any) -> x509.Certificate:
    (found,) = [each.certificate for each in records if each.profile.startswith("trust:")]
    return found  # type: ignore[no-any-return]  # a certificate of the records
