from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from ca.issuers import (
    Issuer,
    authority_information_access,
    crl_distribution_points,
    signature_hash_for,
)
from ca.template import Splicer
from ca.twin import check_twin, make_twin
from enroll.failures import FailureReason, PolicyViolation
from tests.support.authority import (
    A_SERIAL_NUMBER,
    ISSUER_KINDS,
    KEY_KINDS,
    PUBLIC_URL,
    an_issuer,
    an_order,
)
from tests.support.csr import a_key, some_key_usage

ISSUER = an_issuer()
ORDER = an_order()
NOBODY = x509.Name([])
ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
POISON = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.3")


def a_twin(
    *extensions: tuple[x509.ExtensionType, bool],
    without: Sequence[x509.ObjectIdentifier] = (),
    **fields: Any,
) -> x509.Certificate:
    """Make the order's twin, with these extensions in place of its own, or beside them."""
    twin = make_twin(ORDER, ISSUER)
    changed = {value.oid: (value, critical) for value, critical in extensions}
    own = {each.oid: (each.value, each.critical) for each in twin.extensions}
    builder = (
        x509.CertificateBuilder()
        .serial_number(fields.get("serial_number", ORDER.serial_number))
        .issuer_name(fields.get("issuer", ISSUER.certificate.subject))
        .subject_name(fields.get("subject", ORDER.subject))
        .public_key(fields.get("public_key", ORDER.public_key))
        .not_valid_before(fields.get("not_valid_before", ORDER.not_valid_before))
        .not_valid_after(fields.get("not_valid_after", ORDER.not_valid_after))
    )
    for oid, (value, critical) in {**own, **changed}.items():
        if oid not in without:
            builder = builder.add_extension(value, critical=critical)
    return builder.sign(a_key("p-256", 9), hashes.SHA256())


def refused_field(twin: x509.Certificate) -> str | None:
    """Give the field for which the twin of the order is refused."""
    with pytest.raises(PolicyViolation) as refusal:
        check_twin(twin, ORDER, ISSUER)
    assert refusal.value.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.value.finding == "order_refused_by_lint"
    return refusal.value.field


@pytest.mark.parametrize(
    ("extension", "critical", "field"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), True, "basicConstraints"),
        (x509.BasicConstraints(ca=True, path_length=0), True, "basicConstraints"),
        (x509.BasicConstraints(ca=False, path_length=None), False, "basicConstraints"),
        (some_key_usage(digital_signature=True, key_cert_sign=True), True, "keyUsage"),
        (some_key_usage(digital_signature=True, crl_sign=True), True, "keyUsage"),
        (some_key_usage(key_agreement=True), True, "keyUsage"),
        (some_key_usage(digital_signature=True), False, "keyUsage"),
        (x509.AuthorityKeyIdentifier(b"x" * 20, None, None), False, "authorityKeyIdentifier"),
        (ISSUER.authority_key_identifier, True, "authorityKeyIdentifier"),
        (x509.SubjectKeyIdentifier(b"x" * 20), False, "subjectKeyIdentifier"),
        (x509.ExtendedKeyUsage([ANY_PURPOSE]), False, "extendedKeyUsage"),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING]
            ),
            False,
            "extendedKeyUsage",
        ),
        (crl_distribution_points("http://192.0.2.66", "issuing"), False, "cRLDistributionPoints"),
        (crl_distribution_points(PUBLIC_URL, "another"), False, "cRLDistributionPoints"),
        (
            authority_information_access("http://192.0.2.66", "issuing"),
            False,
            "authorityInfoAccess",
        ),
        (x509.SubjectAlternativeName([x509.DNSName("pump-2")]), False, "subjectAltName"),
        (x509.SubjectAlternativeName(ORDER.subject_alternative_names), True, "subjectAltName"),
        (x509.UnrecognizedExtension(POISON, b"\x05\x00"), True, "extensions"),
        (x509.NameConstraints([x509.DNSName("example")], None), True, "extensions"),
        (x509.OCSPNoCheck(), False, "extensions"),
        (x509.PolicyConstraints(0, None), True, "extensions"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, x509.ExtensionType) else None,
)
def test_security_C1_an_extension_that_is_not_as_ordered_is_found(
    extension: x509.ExtensionType,
    critical: bool,  # noqa: FBT001 - as RFC 5280 has it
    field: str,
) -> None:
    twin = a_twin((extension, critical))

    found = refused_field(twin)

    assert found == field


@pytest.mark.parametrize(
    ("oid", "field"),
    [
        (ExtensionOID.BASIC_CONSTRAINTS, "basicConstraints"),
        (ExtensionOID.KEY_USAGE, "keyUsage"),
        (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier"),
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier"),
        (ExtensionOID.CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"),
        (ExtensionOID.AUTHORITY_INFORMATION_ACCESS, "authorityInfoAccess"),
        (ExtensionOID.EXTENDED_KEY_USAGE, "extendedKeyUsage"),
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "subjectAltName"),
    ],
)
def test_an_extension_that_is_missing_is_found(oid: x509.ObjectIdentifier, field: str) -> None:
    twin = a_twin(without=[oid])

    found = refused_field(twin)

    assert found == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"serial_number": A_SERIAL_NUMBER}, "serialNumber"),
        ({"issuer": ORDER.subject}, "issuer"),
        ({"subject": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pump-2")])}, "subject"),
        ({"subject": x509.Name(list(reversed(list(ORDER.subject))))}, "subject"),
        ({"subject": NOBODY}, "subject"),
        ({"not_valid_before": ORDER.not_valid_before - timedelta(seconds=1)}, "validity"),
        ({"not_valid_after": ORDER.not_valid_after + timedelta(seconds=1)}, "validity"),
        ({"public_key": a_key("p-256", 8).public_key()}, "publicKey"),
    ],
)
def test_a_field_that_is_not_as_ordered_is_found(fields: dict[str, Any], field: str) -> None:
    twin = a_twin(**fields)

    found = refused_field(twin)

    assert found == field


@pytest.mark.parametrize("issuer", ISSUER_KINDS)
@pytest.mark.parametrize("key", KEY_KINDS)
def test_a_twin_is_as_ordered_and_nobody_can_have_signed_it(issuer: str, key: str) -> None:
    order = an_order(public_key=a_key(key).public_key())

    twin = make_twin(order, an_issuer(issuer))

    check_twin(twin, order, an_issuer(issuer))
    with pytest.raises(InvalidSignature):
        twin.verify_directly_issued_by(an_issuer(issuer).certificate)


def test_an_issuer_name_in_another_spelling_is_found() -> None:
    spelled = x509.Name(
        [
            x509.NameAttribute(each.oid, each.value, x509.name._ASN1Type.PrintableString)  # noqa: SLF001 - no other way to spell it so
            for each in ISSUER.certificate.subject
        ]
    )
    twin = a_twin(issuer=spelled)

    found = refused_field(twin)

    assert found == "issuer"


def test_what_an_issuer_adds_wrongly_is_found_before_its_key_signs() -> None:
    signed: list[bytes] = []

    def sign(octets: bytes) -> bytes:
        signed.append(octets)
        return b""

    class Mistaken(Issuer):
        @property
        def authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
            return x509.AuthorityKeyIdentifier(b"another authority...", None, None)

        @property
        def signature_over(self) -> Callable[[bytes], bytes]:
            return sign

    mistaken = Mistaken(
        name=ISSUER.name,
        certificate=ISSUER.certificate,
        key=ISSUER.key,
        public_http_url=ISSUER.public_http_url,
    )

    with pytest.raises(PolicyViolation, match="authorityKeyIdentifier"):
        Splicer(mistaken).certificate(ORDER)

    assert not signed


def test_a_twin_is_signed_in_the_issuer_s_manner() -> None:
    for kind in ISSUER_KINDS:
        issuer = an_issuer(kind)

        twin = make_twin(ORDER, issuer)

        digest = twin.signature_hash_algorithm
        expected = signature_hash_for(issuer.key)
        assert (digest and digest.name) == (expected and expected.name)
