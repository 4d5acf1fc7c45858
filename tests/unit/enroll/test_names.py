import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.failures import NotAuthorized
from enroll.policy.names import (
    check_unchanged_names,
    same_alternative_names,
    same_name,
    unknown_placeholder,
)
from tests.support.wire import a_certificate


def name(*rdns: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in rdns])


CN, SERIAL, ORGANIZATION = (
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
    NameOID.ORGANIZATION_NAME,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (name((CN, "pump-1")), name((CN, "PUMP-1"))),
        (name((CN, "pump 1")), name((CN, "  pump   1 "))),
        (name((CN, "Straße")), name((CN, "STRASSE"))),
        (name((CN, "\ufb01lter")), name((CN, "filter"))),
        (name((CN, "pump\u00ad-1")), name((CN, "pump-1"))),
        (name(), name()),
    ],
    ids=["case", "spaces", "folding", "compatibility", "soft hyphen", "empty"],
)
def test_est_E6_names_are_the_same_by_rfc5280_7_1(one: x509.Name, other: x509.Name) -> None:
    assert same_name(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (name((CN, "pump-1")), name((CN, "pump-2"))),
        (name((CN, "pump-1"), (SERIAL, "1")), name((SERIAL, "1"), (CN, "pump-1"))),
        (name((CN, "pump-1")), name((CN, "pump-1"), (ORGANIZATION, "Acme"))),
        (name((CN, "pump-1")), name((ORGANIZATION, "pump-1"))),
        (name((CN, "pump-1")), name((CN, "pump-1"), (CN, "pump-1"))),
    ],
    ids=["value", "order", "more", "type", "repeated"],
)
def test_est_E6_names_differ_by_rfc5280_7_1(one: x509.Name, other: x509.Name) -> None:
    assert not same_name(one, other)


def test_est_E6_string_types_do_not_count() -> None:
    utf8 = x509.Name([x509.NameAttribute(CN, "pump-1", x509.name._ASN1Type.UTF8String)])  # noqa: SLF001 - the only way to choose the string type
    printable = x509.Name([x509.NameAttribute(CN, "pump-1", x509.name._ASN1Type.PrintableString)])  # noqa: SLF001 - as above

    assert same_name(utf8, printable)


def test_est_E6_alternative_names_are_compared_as_a_set() -> None:
    dns, uri = x509.DNSName("a.example"), x509.UniformResourceIdentifier("urn:uuid:1")

    assert same_alternative_names([dns, uri], [uri, x509.DNSName("A.Example"), dns])
    assert not same_alternative_names([dns], [dns, uri])
    assert not same_alternative_names(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        [x509.IPAddress(ipaddress.ip_address("127.0.0.2"))],
    )
    assert not same_alternative_names([dns], [x509.RFC822Name("a.example")])


def test_est_E6_names_of_every_sort_are_compared() -> None:
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a")
    folder = x509.DirectoryName(name((CN, "Pump 1")))

    assert same_alternative_names(
        [folder, other], [other, x509.DirectoryName(name((CN, "pump  1")))]
    )
    assert not same_alternative_names([other], [x509.OtherName(other.type_id, b"\x0c\x01b")])
    assert not same_alternative_names([folder], [x509.DirectoryName(name((CN, "pump 2")))])


def test_est_E6_a_certificate_without_alternative_names_has_none_to_keep() -> None:
    bare = x509.load_der_x509_certificate(a_certificate("pump-1"))

    check_unchanged_names(bare, bare.subject, None)
    check_unchanged_names(bare, bare.subject, ())
    with pytest.raises(NotAuthorized) as refusal:
        check_unchanged_names(bare, bare.subject, (x509.DNSName("pump-1.example"),))

    assert refusal.value.field == "subjectAltName"


def test_est_E6_bits_are_compared_as_they_are() -> None:
    kind = NameOID.X500_UNIQUE_IDENTIFIER
    bits = x509.NameAttribute(kind, b"\x01", x509.name._ASN1Type.BitString)  # noqa: SLF001 - as above
    others = x509.NameAttribute(kind, b"\x02", x509.name._ASN1Type.BitString)  # noqa: SLF001 - as above

    assert same_name(x509.Name([bits]), x509.Name([bits]))
    assert not same_name(x509.Name([bits]), x509.Name([others]))


@pytest.mark.parametrize(
    ("template", "unknown"),
    [
        ("{name}.{attribute.site}.example", None),
        ("urn:uuid:{id}", None),
        ("{nme}", "{nme}"),
        ("{name", "{name"),
        ("name}", "}"),
        ("{attribute.}", "{attribute.}"),
    ],
)
def test_a_placeholder_that_no_device_fills_is_named(template: str, unknown: str | None) -> None:
    assert unknown_placeholder(template) == unknown
