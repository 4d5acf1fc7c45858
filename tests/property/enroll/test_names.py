"""Whatever a request asks for, the names in its certificate are the registry's."""

import asyncio
import ipaddress
import unicodedata

from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from enroll.failures import EnrollmentError, FailureReason
from enroll.policy.names import same_name
from enroll.result import EnrollmentResult, Issued, Rejected
from tests.support.builders import a_certificate_profile, a_policy
from tests.support.csr import a_name
from tests.support.enrollment import Ask, Site, by_code, open_site, renewal

TYPES = (
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.DOMAIN_COMPONENT,
    NameOID.EMAIL_ADDRESS,
    NameOID.USER_ID,
)
POLICY = a_policy(
    a_certificate_profile(
        subject=(("O", "Acme"), ("CN", "{name}"), ("serialNumber", "{serial}")),
        subject_alternative_names=(("dns", "{name}.example"), ("uri", "urn:uuid:{id}")),
    )
)
ANSWERS = {FailureReason.NOT_AUTHORIZED, FailureReason.MALFORMED_REQUEST}

words = st.one_of(
    st.sampled_from(("pump-1", "pump-2", "PUMP-2", "SN-2", "*", "pump-2\0.evil", "a.example.")),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16),
)
plain = st.text("aBcé ßΣ泵-1", min_size=1, max_size=7)


def an_attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value, _ASN1Type.UTF8String)


attributes = st.builds(an_attribute, st.sampled_from(TYPES), words)
rdns = st.lists(attributes, min_size=1, max_size=3, unique=True).map(x509.RelativeDistinguishedName)
subjects = st.lists(rdns, max_size=5).map(x509.Name)
hosts = st.sampled_from(("pump-1.example", "pump-2.example", "*.example", "EVIL.example", "x" * 64))
general_names = st.one_of(
    hosts.map(x509.DNSName),
    hosts.map(lambda host: x509.UniformResourceIdentifier(f"https://{host}/")),
    hosts.map(lambda host: x509.RFC822Name(f"root@{host}")),
    st.ip_addresses().map(x509.IPAddress),
    subjects.map(x509.DirectoryName),
    st.binary(min_size=1, max_size=40).map(
        lambda octets: x509.OtherName(
            x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c" + bytes([len(octets)]) + octets
        )
    ),
    st.just(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
)
name_lists = st.lists(general_names, max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(subject=x509.Name([]), names=[])
@example(subject=a_name("pump-2"), names=[])
@example(subject=a_name("x"), names=[x509.DNSName(f"host-{number}") for number in range(1_000)])
@example(subject=a_name("x"), names=[x509.IPAddress(ipaddress.ip_address("::1"))] * 2)
@given(subject=subjects, names=name_lists)
def test_security_S22_the_names_issued_are_the_registrys(
    subject: x509.Name, names: list[x509.GeneralName]
) -> None:
    asyncio.run(_check_names_issued(subject, names))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=subjects, names=name_lists)
def test_security_T2_a_renewal_keeps_its_names(
    subject: x509.Name, names: list[x509.GeneralName]
) -> None:
    asyncio.run(_check_renewal(subject, names))


@given(st.lists(st.builds(an_attribute, st.sampled_from(TYPES), plain), max_size=5))
def test_est_E6_a_name_is_the_same_in_any_case_and_spacing(
    written: list[x509.NameAttribute[str]],
) -> None:
    name = x509.Name(written)
    other = x509.Name([an_attribute(each.oid, _spaced(each.value)) for each in written])

    assert same_name(name, name)
    assert same_name(name, other)
    assert same_name(other, name)


@given(subjects, subjects)
def test_est_E6_names_of_other_lengths_are_others(one: x509.Name, other: x509.Name) -> None:
    if len(one.rdns) != len(other.rdns):
        assert not same_name(one, other)


async def _check_names_issued(subject: x509.Name, names: list[x509.GeneralName]) -> None:
    site = await open_site(POLICY)
    await site.register("pump-2", serial_number="SN-2")
    device = await site.register(serial_number="SN-1")
    ask = by_code("pump-1", await site.code(), subject=subject, names=names)

    result = await _send(site, ask)

    if not isinstance(result, Issued):
        assert isinstance(result, Rejected)
        assert result.reason in ANSWERS, result
        assert await site.certificates() == []
        return
    certificate = result.record.certificate
    assert [(each.oid, each.value) for each in certificate.subject] == [
        (NameOID.ORGANIZATION_NAME, "Acme"),
        (NameOID.COMMON_NAME, "pump-1"),
        (NameOID.SERIAL_NUMBER, "SN-1"),
    ]
    issued = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(issued) == [
        x509.DNSName("pump-1.example"),
        x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}"),
    ]


async def _check_renewal(subject: x509.Name, names: list[x509.GeneralName]) -> None:
    site = await open_site(POLICY)
    held = await site.enroll(serial_number="SN-1")

    result = await _send(site, renewal(held, subject=subject, names=names))

    if isinstance(result, Issued):
        assert same_name(subject, held.certificate.subject)
        assert result.record.certificate.subject == held.certificate.subject
    else:
        assert isinstance(result, Rejected)
        assert result.reason in ANSWERS, result


async def _send(site: Site, ask: Ask) -> EnrollmentResult:
    """Send a request as a protocol would: what cannot be read is refused too."""
    try:
        request = site.request(ask)
    except EnrollmentError as error:
        refused = await site.pipeline.refuse(site.origin(ask), error)
        assert isinstance(refused, Rejected)
        return refused
    return await site.pipeline.handle(request)


def _spaced(text: str) -> str:
    """Write a value louder and wider, in ways that RFC 5280 §7.1 does not see."""
    louder = text.upper() if text.upper().casefold() == text.casefold() else text
    return unicodedata.normalize("NFD", louder.replace(" ", "   "))
