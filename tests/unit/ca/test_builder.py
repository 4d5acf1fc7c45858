from datetime import timedelta
from hashlib import sha1
from ipaddress import ip_address
from itertools import combinations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5280

from ca.builder import sign
from enroll.profiles import KeyUsageBit
from tests.support.authority import (
    A_SERIAL_NUMBER,
    CLASSICAL,
    ISSUER_KINDS,
    KEY_KINDS,
    PUBLIC_URL,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START
from tests.support.lint import check_certificate
from tests.support.openssl import certificate_text

SIGNATURES = {
    "p-256": "ecdsa-with-SHA256",
    "p-384": "ecdsa-with-SHA384",
    "p-521": "ecdsa-with-SHA512",
    "rsa-2048": "sha256WithRSAEncryption",
    "ed25519": "ED25519",
    "ed448": "ED448",
}


def test_openssl_reads_every_field_as_it_was_ordered() -> None:
    order = an_order(
        subject=x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
                x509.NameAttribute(NameOID.COMMON_NAME, "pump-1"),
            ]
        ),
        subject_alternative_names=(
            x509.DNSName("pump-1.example"),
            x509.IPAddress(ip_address("192.0.2.1")),
            x509.UniformResourceIdentifier("urn:dev:ops:1-pump"),
            x509.RFC822Name("pump@example.com"),
        ),
        extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    )

    text = certificate_text(issue(an_authority(), order))

    for line in (
        "Version: 3 (0x2)",
        "5a:b3:0d:d5:ee:df:00:d5:12:34:56:78:9a:bc:de:f0:12:34:56:7a",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Issuer: CN = Test Issuing CA",
        "Not Before: Nov 24 11:55:00 2026 GMT",
        "Not After : Feb 22 12:00:00 2027 GMT",
        "Subject: C = DE, O = Example, CN = pump-1",
        "ASN1 OID: prime256v1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "                TLS Web Client Authentication, TLS Web Server Authentication\n",
        f"URI:{PUBLIC_URL}/crl/issuing.crl",
        f"CA Issuers - URI:{PUBLIC_URL}/ca/issuing.crt",
        "DNS:pump-1.example, IP Address:192.0.2.1, URI:urn:dev:ops:1-pump, email:pump@example.com",
    ):
        assert line in text


@pytest.mark.parametrize("key", KEY_KINDS)
@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_every_issuer_certifies_every_key_and_its_signature_verifies(kind: str, key: str) -> None:
    issuer = an_issuer(kind)
    order = an_order(public_key=a_key(key).public_key())

    certificate = x509.load_der_x509_certificate(issue(an_authority(issuer), order))

    certificate.verify_directly_issued_by(issuer.certificate)
    assert certificate.public_key() == order.public_key
    assert certificate.serial_number == A_SERIAL_NUMBER + 2


@pytest.mark.parametrize("kind", CLASSICAL)
def test_signatures_are_made_as_the_issuer_s_key_wants_them(kind: str) -> None:
    issuer = an_issuer(kind)
    der = issue(an_authority(issuer), an_order())
    certificate = x509.load_der_x509_certificate(der)
    public, octets = issuer.certificate.public_key(), certificate.tbs_certificate_bytes

    text = certificate_text(der)

    # Once inside what is signed and once outside of it (RFC 5280 §4.1.1.2).
    assert text.count(f"Signature Algorithm: {SIGNATURES[kind]}") == 2
    match public:
        case ec.EllipticCurvePublicKey():
            digest = certificate.signature_hash_algorithm
            assert digest is not None
            public.verify(certificate.signature, octets, ec.ECDSA(digest))
        case rsa.RSAPublicKey():
            digest = certificate.signature_hash_algorithm
            assert digest is not None
            public.verify(certificate.signature, octets, padding.PKCS1v15(), digest)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            public.verify(certificate.signature, octets)
        case _:
            pytest.fail("an issuer with another kind of key")


@pytest.mark.parametrize(
    "bits",
    [set(each) for size in (1, 2, 3) for each in combinations(sorted(KeyUsageBit), size)],
    ids=lambda bits: "+".join(sorted(bits)),
)
def test_security_C1_key_usage_is_what_was_ordered_and_never_a_ca_s(
    bits: set[KeyUsageBit],
) -> None:
    if {KeyUsageBit.KEY_AGREEMENT, KeyUsageBit.KEY_ENCIPHERMENT} <= bits:
        bits = bits - {KeyUsageBit.KEY_AGREEMENT}
    kind = "rsa-2048" if KeyUsageBit.KEY_ENCIPHERMENT in bits else "p-256"
    order = an_order(key_usage=frozenset(bits), public_key=a_key(kind).public_key())

    certificate = x509.load_der_x509_certificate(issue(an_authority(), order))

    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature is (KeyUsageBit.DIGITAL_SIGNATURE in bits)
    assert usage.value.content_commitment is (KeyUsageBit.NON_REPUDIATION in bits)
    assert usage.value.key_encipherment is (KeyUsageBit.KEY_ENCIPHERMENT in bits)
    assert usage.value.key_agreement is (KeyUsageBit.KEY_AGREEMENT in bits)
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    assert not usage.value.data_encipherment


def test_the_subject_key_identifier_is_the_hash_of_the_key_s_bits() -> None:
    for kind in KEY_KINDS:
        der = issue(an_authority(), an_order(public_key=a_key(kind).public_key()))

        # RFC 5280 §4.2.1.2 method 1, by a reader of others.
        parsed, _ = decoder.decode(der, asn1Spec=rfc5280.Certificate())
        bits = parsed["tbsCertificate"]["subjectPublicKeyInfo"]["subjectPublicKey"].asOctets()
        certificate = x509.load_der_x509_certificate(der)
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert found.value.digest == sha1(bits, usedforsecurity=False).digest()


def test_an_empty_subject_makes_the_alternative_names_critical() -> None:
    order = an_order(subject=x509.Name([]))

    der = issue(an_authority(), order)

    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.critical
    check_certificate(der)


def test_what_was_not_ordered_is_not_there() -> None:
    order = an_order(subject_alternative_names=(), extended_key_usage=())

    certificate = x509.load_der_x509_certificate(issue(an_authority(), order))

    assert {each.value.__class__ for each in certificate.extensions} == {
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.AuthorityKeyIdentifier,
        x509.SubjectKeyIdentifier,
        x509.CRLDistributionPoints,
        x509.AuthorityInformationAccess,
    }


def test_strings_are_printable_or_utf8_as_rfc_5280_wants() -> None:
    order = an_order(
        subject=x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                x509.NameAttribute(NameOID.COMMON_NAME, "pump-1"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-1"),
                x509.NameAttribute(NameOID.DN_QUALIFIER, "a"),
                x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "example"),
            ]
        )
    )

    der = issue(an_authority(), order)

    parsed, _ = decoder.decode(der, asn1Spec=rfc5280.Certificate())
    values = [
        bytes(each[0]["value"]) for each in parsed["tbsCertificate"]["subject"]["rdnSequence"]
    ]
    # PrintableString, UTF8String, PrintableString, PrintableString, IA5String.
    assert [value[0] for value in values] == [0x13, 0x0C, 0x13, 0x13, 0x16]


@pytest.mark.parametrize("year", [2049, 2050, 2051])
def test_dates_around_2050_are_read_as_they_were_meant(year: int) -> None:
    issuer = an_issuer("ed25519", "ed25519")
    begins, ends = START.replace(year=year - 1), START.replace(year=year) + timedelta(seconds=1)
    order = an_order(not_valid_before=begins, not_valid_after=ends)

    certificate = x509.load_der_x509_certificate(sign(order, issuer))

    assert certificate.not_valid_before_utc == begins
    assert certificate.not_valid_after_utc == ends
