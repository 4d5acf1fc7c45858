from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, mlkem, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.certificates import IssuanceOrder
from enroll.failures import FailureReason, PolicyViolation
from enroll.profiles import KeyUsageBit
from tests.support.authority import KEY_KINDS, an_authority, an_issuer, an_order, issue
from tests.support.csr import a_key
from tests.support.fakes import START
from tests.support.lint import check_certificate

ENDS = an_issuer().certificate.not_valid_after_utc
BEGINS = an_issuer().certificate.not_valid_before_utc
SECOND = timedelta(seconds=1)
DIGITAL_SIGNATURE = KeyUsageBit.DIGITAL_SIGNATURE


def a_subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def named(value: str, oid: x509.ObjectIdentifier = NameOID.COMMON_NAME) -> IssuanceOrder:
    # The library has bounds of its own for some types; lint must hold where it has none.
    attribute = x509.NameAttribute(oid, value, _validate=False)
    return an_order(subject=x509.Name([attribute]))


def also_named(*names: x509.GeneralName) -> IssuanceOrder:
    return an_order(subject_alternative_names=names)


def email(value: str) -> x509.RFC822Name:
    # The library refuses some of them itself, when they are made.
    return x509.RFC822Name._init_without_validation(value)  # noqa: SLF001 - as above


def sized(bits: int) -> CertificatePublicKeyTypes:
    return rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key()


def refused_field(order: IssuanceOrder) -> str | None:
    """Give the field for which the authority refuses an order."""
    with pytest.raises(PolicyViolation) as refusal:
        issue(an_authority(), order)
    assert refusal.value.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.value.finding == "order_refused_by_lint"
    assert refusal.value.detail.startswith(f"{refusal.value.field}: ")
    return refusal.value.field


@pytest.mark.parametrize(
    "number", [0, 1, -1, (1 << 63) - 1, 1 << 159, (1 << 160) - 1, -(1 << 100), 1 << 200]
)
def test_security_K2_a_serial_number_that_is_small_long_or_negative_is_refused(
    number: int,
) -> None:
    found = refused_field(an_order(serial_number=number))

    assert found == "serialNumber"


@pytest.mark.parametrize("number", [1 << 63, (1 << 159) - 1])
def test_serial_numbers_at_the_bounds_are_signed(number: int) -> None:
    der = issue(an_authority(), an_order(serial_number=number))

    assert x509.load_der_x509_certificate(der).serial_number == number
    check_certificate(der)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (START, START),
        (START, START - SECOND),
        (START - timedelta(minutes=6, seconds=1), START + timedelta(days=1)),
        (START - timedelta(days=300), START + timedelta(days=1)),
        (START, ENDS + SECOND),
        (BEGINS - SECOND, START + timedelta(days=1)),
    ],
    ids=["empty", "ends first", "backdated", "long ago", "outlives", "before its issuer"],
)
def test_security_K1_dates_that_no_relying_party_should_see_are_refused(
    begins: datetime, ends: datetime
) -> None:
    found = refused_field(an_order(not_valid_before=begins, not_valid_after=ends))

    assert found == "validity"


def test_dates_at_the_bounds_of_the_issuer_s_are_signed() -> None:
    der = issue(an_authority(), an_order(not_valid_before=BEGINS, not_valid_after=ENDS))

    certificate = x509.load_der_x509_certificate(der)
    assert certificate.not_valid_before_utc == BEGINS
    assert certificate.not_valid_after_utc == ENDS
    check_certificate(der)


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (NameOID.COMMON_NAME, "x" * 65),
        (NameOID.COMMON_NAME, " pump-1"),
        (NameOID.COMMON_NAME, "pump-1 "),
        (NameOID.COMMON_NAME, "pump\0.example"),
        (NameOID.COMMON_NAME, "pump\n1"),
        (NameOID.COMMON_NAME, "pump\u202e1"),
        (NameOID.COMMON_NAME, "pump\u00a01"),
        (NameOID.COMMON_NAME, "pump\u200b1"),
        (NameOID.COMMON_NAME, "\U000e0041"),
        (NameOID.SERIAL_NUMBER, "x" * 65),
        (NameOID.SERIAL_NUMBER, "SN_1"),
        (NameOID.SERIAL_NUMBER, "SN\u00e9"),
        (NameOID.SERIAL_NUMBER, "SN*1"),
        (NameOID.DN_QUALIFIER, "a@b"),
        (NameOID.DN_QUALIFIER, "caf\u00e9"),
        (NameOID.COUNTRY_NAME, "D"),
        (NameOID.COUNTRY_NAME, "DEU"),
        (NameOID.COUNTRY_NAME, "de"),
        (NameOID.COUNTRY_NAME, "@b"),
        (NameOID.STATE_OR_PROVINCE_NAME, "x" * 129),
        (NameOID.LOCALITY_NAME, "x" * 129),
        (NameOID.ORGANIZATION_NAME, "x" * 65),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 65),
        (NameOID.DOMAIN_COMPONENT, "b\u00fccher"),
        (NameOID.DOMAIN_COMPONENT, "x" * 64),
        (NameOID.DOMAIN_COMPONENT, "example.com"),
        (NameOID.DOMAIN_COMPONENT, "-example"),
        (NameOID.EMAIL_ADDRESS, "\u00fc@example.com"),
        (NameOID.USER_ID, "x" * 256),
    ],
)
@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")  # The library's own bounds.
def test_security_C3_a_subject_that_x520_does_not_allow_is_refused(
    oid: x509.ObjectIdentifier, value: str
) -> None:
    found = refused_field(named(value, oid))

    assert found == "subject"


def test_security_C3_every_attribute_of_a_subject_is_looked_at() -> None:
    rdn = x509.RelativeDistinguishedName(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "pump-1"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN_1"),
        ]
    )

    found = refused_field(an_order(subject=x509.Name([rdn])))

    assert found == "subject"


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (NameOID.COMMON_NAME, "x" * 64),
        (NameOID.COMMON_NAME, "B\u00fccher & S\u00f6hne \u6c34\u6cf5"),
        (NameOID.COMMON_NAME, "*.example.com"),
        (NameOID.SERIAL_NUMBER, "SN-1 (A)/B,C.D:E=F?'+"),
        (NameOID.DN_QUALIFIER, "line 4"),
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.STATE_OR_PROVINCE_NAME, "x" * 128),
        (NameOID.LOCALITY_NAME, "M\u00fcnchen"),
        (NameOID.ORGANIZATION_NAME, "x" * 64),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "\u041e\u0442\u0434\u0435\u043b"),
        (NameOID.USER_ID, "7f@site"),
    ],
)
def test_a_subject_at_the_bounds_is_signed_as_it_is(oid: x509.ObjectIdentifier, value: str) -> None:
    der = issue(an_authority(), named(value, oid))

    (attribute,) = x509.load_der_x509_certificate(der).subject
    assert attribute.value == value
    check_certificate(der)


def test_domain_components_are_signed_in_their_order() -> None:
    names = [(NameOID.DOMAIN_COMPONENT, label) for label in ("com", "Example-1")]

    der = issue(an_authority(), an_order(subject=a_subject(*names)))

    subject = x509.load_der_x509_certificate(der).subject
    assert subject.rfc4514_string() == "DC=Example-1,DC=com"
    check_certificate(der)


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("PUMP.example"),
        x509.DNSName("*.example.com"),
        x509.DNSName("pump_1.example"),
        x509.DNSName("-pump.example"),
        x509.DNSName("pump-.example"),
        x509.DNSName("pump.example."),
        x509.DNSName("pump..example"),
        x509.DNSName(".example"),
        x509.DNSName(""),
        x509.DNSName("x" * 64),
        x509.DNSName(".".join(["x" * 63] * 4)),
        x509.DNSName("pump\0.example"),
        x509.DNSName("pump.example\n"),
        x509.DNSName("pump example"),
        x509.UniformResourceIdentifier("pump-1"),
        x509.UniformResourceIdentifier(":pump-1"),
        x509.UniformResourceIdentifier("urn:"),
        x509.UniformResourceIdentifier("URN:dev:1"),
        x509.UniformResourceIdentifier("urn:dev:a b"),
        x509.UniformResourceIdentifier("urn:dev:<1>"),
        x509.UniformResourceIdentifier('urn:dev:"1"'),
        x509.UniformResourceIdentifier("urn:dev:%4"),
        x509.UniformResourceIdentifier("urn:dev:%zz"),
        x509.UniformResourceIdentifier("urn:dev:1\0"),
        x509.UniformResourceIdentifier("urn:dev:1\n"),
        email("pump"),
        email("pump@"),
        email("@example.com"),
        email("a@b@example.com"),
        email("pump@-example.com"),
        email(".pump@example.com"),
        email("pump..1@example.com"),
        email("pump 1@example.com"),
        email("x" * 65 + "@example.com"),
        x509.IPAddress(ip_network("10.0.0.0/8")),
        x509.IPAddress(ip_network("2001:db8::/32")),
        x509.DirectoryName(a_subject((NameOID.COMMON_NAME, "admin"))),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x05admin"),
    ],
    ids=repr,
)
def test_security_C2_a_name_that_no_device_may_have_is_refused(name: x509.GeneralName) -> None:
    good = x509.DNSName("pump-1.example")

    found = refused_field(also_named(good, name))

    assert found == "subjectAltName"


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("pump-1.example"),
        x509.DNSName("xn--bcher-kva.example"),
        x509.DNSName("1.example"),
        x509.DNSName("x" * 63 + ".example"),
        x509.UniformResourceIdentifier("urn:uuid:019a0000-0000-7000-8000-000000000001"),
        x509.UniformResourceIdentifier("urn:dev:ops:32473-pump-1%20a"),
        x509.UniformResourceIdentifier("https://pump-1.example/~a?b=c#d"),
        x509.RFC822Name("pump.1+a@example.com"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.IPAddress(ip_address("2001:db8::1")),
    ],
    ids=repr,
)
def test_a_good_name_is_signed_as_it_is(name: x509.GeneralName) -> None:
    der = issue(an_authority(), also_named(name))

    certificate = x509.load_der_x509_certificate(der)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(found.value) == [name]
    check_certificate(der)


def test_an_order_without_any_name_is_refused() -> None:
    order = an_order(subject=x509.Name([]), subject_alternative_names=())

    found = refused_field(order)

    assert found == "subjectAltName"


def test_security_C2_more_names_than_a_device_can_have_are_refused() -> None:
    names = [x509.DNSName(f"pump-{number}.example") for number in range(33)]

    found = refused_field(also_named(*names))

    assert found == "subjectAltName"


def test_as_many_names_as_may_be_are_signed() -> None:
    names = [x509.DNSName(f"pump-{number}.example") for number in range(32)]

    der = issue(an_authority(), also_named(*names))

    check_certificate(der)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key_usage": frozenset()}, "keyUsage"),
        ({"key_usage": frozenset({KeyUsageBit.KEY_ENCIPHERMENT})}, "keyUsage"),
        (
            {
                "key_usage": frozenset({KeyUsageBit.KEY_AGREEMENT}),
                "public_key": a_key("rsa-2048").public_key(),
            },
            "keyUsage",
        ),
        (
            {
                "key_usage": frozenset({DIGITAL_SIGNATURE, KeyUsageBit.KEY_AGREEMENT}),
                "public_key": a_key("ed25519").public_key(),
            },
            "keyUsage",
        ),
        ({"extended_key_usage": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, "extendedKeyUsage"),
        (
            {
                "extended_key_usage": (
                    ExtendedKeyUsageOID.CLIENT_AUTH,
                    ExtendedKeyUsageOID.OCSP_SIGNING,
                )
            },
            "extendedKeyUsage",
        ),
    ],
    ids=["none", "enciphering EC", "agreeing RSA", "agreeing Edwards", "any purpose", "OCSP"],
)
def test_security_C1_usages_that_a_device_may_not_have_are_refused(
    changes: dict[str, Any], field: str
) -> None:
    found = refused_field(an_order(**changes))

    assert found == field


@pytest.mark.parametrize(
    "make",
    [
        lambda: a_key("secp256k1").public_key(),
        lambda: a_key("p-224").public_key(),
        lambda: a_key("rsa-1024").public_key(),
        lambda: sized(2047),
        lambda: sized(2056),
        lambda: sized(8192),
        lambda: dsa.generate_private_key(1024).public_key(),
    ],
    ids=["secp256k1", "p-224", "rsa-1024", "2047", "2056", "8192", "dsa"],
)
def test_security_C4_no_key_of_another_kind_or_size_is_certified(
    make: Callable[[], CertificatePublicKeyTypes],
) -> None:
    found = refused_field(an_order(public_key=make()))

    assert found == "publicKey"


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_every_kind_of_key_that_a_profile_may_allow_is_certified(kind: str) -> None:
    key = a_key(kind).public_key()

    der = issue(an_authority(), an_order(public_key=key))

    assert x509.load_der_x509_certificate(der).public_key() == key
    check_certificate(der)


SEALED = {
    "x25519": (x25519.X25519PrivateKey.generate().public_key(), KeyUsageBit.KEY_AGREEMENT),
    "x448": (x448.X448PrivateKey.generate().public_key(), KeyUsageBit.KEY_AGREEMENT),
    "ml-kem-768": (mlkem.MLKEM768PrivateKey.generate().public_key(), KeyUsageBit.KEY_ENCIPHERMENT),
    "ml-kem-1024": (
        mlkem.MLKEM1024PrivateKey.generate().public_key(),
        KeyUsageBit.KEY_ENCIPHERMENT,
    ),
}


@pytest.mark.parametrize("kind", SEALED)
@pytest.mark.parametrize("usage", KeyUsageBit)
def test_security_C1_a_key_that_signs_nothing_has_its_one_usage(
    kind: str, usage: KeyUsageBit
) -> None:
    key, fitting = SEALED[kind]
    others = frozenset(KeyUsageBit) - {usage if usage is fitting else fitting}

    for usages in ({usage} - {fitting}, {usage} | others):
        if usages:
            order = an_order(public_key=key, key_usage=frozenset(usages))
            assert refused_field(order) == "keyUsage"


@pytest.mark.parametrize("kind", SEALED)
def test_a_key_that_signs_nothing_is_certified(kind: str) -> None:
    key, fitting = SEALED[kind]
    authority = an_authority()

    issued = issue(authority, an_order(public_key=key, key_usage=frozenset({fitting})))

    certificate = x509.load_der_x509_certificate(issued)
    assert certificate.public_key() == key
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.key_encipherment, usage.digital_signature) == (
        fitting is KeyUsageBit.KEY_AGREEMENT,
        fitting is KeyUsageBit.KEY_ENCIPHERMENT,
        False,
    )
