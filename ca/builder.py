"""An order becomes a certificate: all that the order says, all that the issuer adds, no more."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuers import Issuer
from enroll.certificates import IssuanceOrder
from enroll.profiles import KeyUsageBit

NOT_A_CA = x509.BasicConstraints(ca=False, path_length=None)


def sign(order: IssuanceOrder, issuer: Issuer) -> bytes:
    """Build and sign the certificate, DER (RFC 5280 §4.1)."""
    signed = to_builder(order, issuer).sign(issuer.key, issuer.signature_hash)
    return signed.public_bytes(Encoding.DER)


def to_builder(order: IssuanceOrder, issuer: Issuer) -> x509.CertificateBuilder:
    """Put together all but the signature.

    The subject alternative name is critical only where the subject is empty (§4.2.1.6).
    """
    builder = (
        x509.CertificateBuilder()
        .serial_number(order.serial_number)
        .issuer_name(issuer.certificate.subject)
        .subject_name(order.subject)
        .public_key(order.public_key)
        .not_valid_before(order.not_valid_before)
        .not_valid_after(order.not_valid_after)
        .add_extension(NOT_A_CA, critical=True)
        .add_extension(key_usage(order.key_usage), critical=True)
        .add_extension(issuer.authority_key_identifier, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(order.public_key), critical=False)
        .add_extension(issuer.crl_distribution_points, critical=False)
        .add_extension(issuer.authority_information_access, critical=False)
    )
    if order.extended_key_usage:
        purposes = x509.ExtendedKeyUsage(order.extended_key_usage)
        builder = builder.add_extension(purposes, critical=False)
    if order.subject_alternative_names:
        names = x509.SubjectAlternativeName(order.subject_alternative_names)
        builder = builder.add_extension(names, critical=not order.subject.rdns)
    return builder


def key_usage(bits: frozenset[KeyUsageBit]) -> x509.KeyUsage:
    """Write the keyUsage extension of an end entity: never a CA's bits."""
    return x509.KeyUsage(
        digital_signature=KeyUsageBit.DIGITAL_SIGNATURE in bits,
        content_commitment=KeyUsageBit.NON_REPUDIATION in bits,
        key_encipherment=KeyUsageBit.KEY_ENCIPHERMENT in bits,
        data_encipherment=False,
        key_agreement=KeyUsageBit.KEY_AGREEMENT in bits,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
