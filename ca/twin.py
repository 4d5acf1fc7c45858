"""A certificate's twin: the same in all but its signature, judged before the CA's key is touched.

What is signed cannot be unsigned. A twin is signed by a key that nobody trusts and that is
forgotten with the process, so that what it says can be read back before it is said in earnest.
"""

from functools import lru_cache

from asn1crypto import parser
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.builder import NOT_A_CA, key_usage, to_builder
from ca.issuers import Issuer
from ca.linting import fault
from enroll.certificates import IssuanceOrder

ISSUER_FIELD = 3
SUBJECT_FIELD = 5
"""Places in a TBSCertificate with a version (RFC 5280 §4.1)."""


def make_twin(order: IssuanceOrder, issuer: Issuer) -> x509.Certificate:
    """Build the certificate that was ordered, under a key of nobody's of the issuer's kind."""
    return to_builder(order, issuer).sign(_nobodys_key(type(issuer.key)), issuer.signature_hash)


def check_twin(twin: x509.Certificate, order: IssuanceOrder, issuer: Issuer) -> None:
    """Check that a certificate says what was ordered and what its issuer adds, and no more.

    Raises PolicyViolation (BAD_CERTIFICATE_TEMPLATE), naming the field.
    """
    _check_fields(twin, order, issuer)
    _check_extensions(twin, order, issuer)


def elements(sequence: bytes) -> list[bytes]:
    """Split the DER of a SEQUENCE into the elements in it."""
    content = parser.parse(sequence)[4]
    found = []
    while content:
        length = parser.peek(content)
        found.append(content[:length])
        content = content[length:]
    return found


def _check_fields(twin: x509.Certificate, order: IssuanceOrder, issuer: Issuer) -> None:
    if twin.version is not x509.Version.v3:
        raise fault("version", "expected version 3")
    if twin.serial_number != order.serial_number:
        raise fault("serialNumber", "it is not the ordered one")
    # Relying parties compare these octets: they must be the issuer's own, not another spelling.
    above = elements(issuer.certificate.tbs_certificate_bytes)[SUBJECT_FIELD]
    if elements(twin.tbs_certificate_bytes)[ISSUER_FIELD] != above:
        raise fault("issuer", "it is not the subject of the issuing CA, octet for octet")
    if twin.subject != order.subject:
        raise fault("subject", "it is not the ordered one")
    begins, ends = order.not_valid_before, order.not_valid_after
    if (twin.not_valid_before_utc, twin.not_valid_after_utc) != (
        begins.replace(microsecond=0),
        ends.replace(microsecond=0),
    ):
        raise fault("validity", "it is not the ordered one")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if twin.public_key().public_bytes(*form) != order.public_key.public_bytes(*form):
        raise fault("publicKey", "it is not the ordered one")


def _check_extensions(twin: x509.Certificate, order: IssuanceOrder, issuer: Issuer) -> None:
    own = x509.SubjectKeyIdentifier.from_public_key(order.public_key)
    above = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    expected: list[tuple[bool, x509.ExtensionType]] = [
        (True, NOT_A_CA),
        (True, key_usage(order.key_usage)),
        (False, x509.AuthorityKeyIdentifier(above.digest, None, None)),
        (False, own),
        (False, issuer.crl_distribution_points),
        (False, issuer.authority_information_access),
    ]
    if order.extended_key_usage:
        expected.append((False, x509.ExtendedKeyUsage(order.extended_key_usage)))
    if order.subject_alternative_names:
        names = x509.SubjectAlternativeName(order.subject_alternative_names)
        expected.append((not order.subject.rdns, names))
    found = {each.oid: each for each in twin.extensions}
    for critical, value in expected:
        extension = found.pop(value.oid, None)
        name = value.oid._name  # noqa: SLF001 - the only way to the name of an OID
        if extension is None:
            raise fault(name, "it is missing")
        if extension.critical is not critical:
            raise fault(name, f"expected it {'' if critical else 'not '}to be critical")
        if extension.value != value:
            raise fault(name, "it does not say what it should")
    if found:
        raise fault("extensions", f"nobody ordered {', '.join(oid.dotted_string for oid in found)}")


@lru_cache
def _nobodys_key(
    kind: type[CertificateIssuerPrivateKeyTypes],
) -> CertificateIssuerPrivateKeyTypes:
    """Make a key once: what is written in a certificate depends on its kind, not on its size."""
    if issubclass(kind, rsa.RSAPrivateKey):
        return rsa.generate_private_key(65537, 2048)
    if issubclass(kind, ed25519.Ed25519PrivateKey):
        return ed25519.Ed25519PrivateKey.generate()
    if issubclass(kind, ed448.Ed448PrivateKey):
        return ed448.Ed448PrivateKey.generate()
    for one in (mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey):
        if issubclass(kind, one):
            return one.generate()
    return ec.generate_private_key(ec.SECP256R1())
