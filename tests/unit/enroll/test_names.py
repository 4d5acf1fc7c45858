import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.policy.names import same_alternative_names, same_name, unknown_placeholder


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
