from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from enroll.device import IdentityKind
from enroll.policy.identities import (
    IdentityFormatError,
    claims_of,
    foreign_claims,
    to_identity,
)
from enroll.request import CertificateRequest
from protocols import pkcs10
from tests.support.builders import a_device
from tests.support.csr import a_csr


@pytest.mark.parametrize(
    ("kind", "written", "kept"),
    [
        (IdentityKind.SERIAL_NUMBER, "  SN-00817 ", "SN-00817"),
        (IdentityKind.COMMON_NAME, "Caf\u0065\u0301", "Café"),
        (IdentityKind.SAN_DNS, "Pump-1.Example.", "pump-1.example"),
        (IdentityKind.SAN_URI, "URN:dev:mac:0024befffe804ff1", "urn:dev:mac:0024befffe804ff1"),
        (IdentityKind.MAC, "00:24:BE:80:4F:F1", "0024be804ff1"),
        (IdentityKind.SPKI_SHA256, "AB" * 32, "ab" * 32),
        (IdentityKind.HW_MODULE_NAME, "2.999.1:534E2D31", "2.999.1:534e2d31"),
        (IdentityKind.IDEVID_ISSUER_SERIAL, "CN=Maker CA,O=Maker#0A1B", "cn=maker ca,o=maker#a1b"),
        (IdentityKind.EK_URI, "urn:ek:sha256:" + "A" * 43 + "=", "urn:ek:sha256:" + "A" * 43 + "="),
    ],
)
def test_an_identity_is_kept_in_its_normal_form(
    kind: IdentityKind, written: str, kept: str
) -> None:
    assert to_identity(kind, written).value == kept


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (IdentityKind.SERIAL_NUMBER, "To be filled by O.E.M."),
        (IdentityKind.SERIAL_NUMBER, "Default string"),
        (IdentityKind.SERIAL_NUMBER, "None"),
        (IdentityKind.SERIAL_NUMBER, "0"),
        (IdentityKind.SERIAL_NUMBER, "XXXXXXXX"),
        (IdentityKind.SERIAL_NUMBER, ""),
        (IdentityKind.SERIAL_NUMBER, "a\x00b"),
        (IdentityKind.SERIAL_NUMBER, "9" * 256),
        (IdentityKind.SAN_DNS, "no spaces.example"),
        (IdentityKind.SAN_URI, "no-scheme"),
        (IdentityKind.MAC, "00:24:be"),
        (IdentityKind.SPKI_SHA256, "abc"),
        (IdentityKind.EK_URI, "urn:ek:sha256:short"),
        (IdentityKind.HW_MODULE_NAME, "SN-1"),
        (IdentityKind.HW_MODULE_NAME, "2.999.1:5"),
        (IdentityKind.IDEVID_ISSUER_SERIAL, "CN=Maker CA"),
        (IdentityKind.IDEVID_ISSUER_SERIAL, "Maker CA#1"),
        (IdentityKind.SAN_DNS, "a..example"),
        (IdentityKind.SAN_DNS, "-a.example"),
    ],
)
def test_what_cannot_identify_is_refused(kind: IdentityKind, written: str) -> None:
    with pytest.raises(IdentityFormatError):
        to_identity(kind, written)


def test_a_name_made_to_be_hard_to_judge_is_judged_at_once() -> None:
    hostile = "a" * 250 + "!"

    with pytest.raises(IdentityFormatError):
        to_identity(IdentityKind.SAN_DNS, hostile)


def wish(subject: x509.Name, *names: x509.GeneralName) -> CertificateRequest:
    return pkcs10.decode(a_csr(subject=subject, names=names))


def attributes(*pairs: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def test_lifecycle_2_3_every_identifier_of_a_request_is_collected() -> None:
    request = wish(
        attributes(
            (NameOID.COMMON_NAME, "Pump-2"),
            (NameOID.SERIAL_NUMBER, "SN-2"),
            (NameOID.ORGANIZATION_NAME, "Acme"),
        ),
        x509.DNSName("Pump-2.example"),
        x509.UniformResourceIdentifier("URN:uuid:01234567-89AB-7cde-8f01-23456789abcd"),
        x509.UniformResourceIdentifier("urn:uuid:no-uuid"),
        x509.UniformResourceIdentifier("urn:dev:mac:0024befffe804ff1"),
        x509.IPAddress(ip_address("192.0.2.1")),
    )

    claims = claims_of(request, ["operator"])

    assert claims.names == {"Pump-2", "SN-2", "operator"}
    assert claims.device_ids == {"01234567-89ab-7cde-8f01-23456789abcd"}
    assert {(each.kind, each.value) for each in claims.identities} == {
        (IdentityKind.COMMON_NAME, "Pump-2"),
        (IdentityKind.SERIAL_NUMBER, "Pump-2"),
        (IdentityKind.SERIAL_NUMBER, "SN-2"),
        (IdentityKind.SERIAL_NUMBER, "operator"),
        (IdentityKind.SAN_DNS, "pump-2.example"),
        (IdentityKind.SAN_URI, "urn:uuid:01234567-89AB-7cde-8f01-23456789abcd"),
        (IdentityKind.SAN_URI, "urn:uuid:no-uuid"),
        (IdentityKind.SAN_URI, "urn:dev:mac:0024befffe804ff1"),
        (IdentityKind.SPKI_SHA256, request.spki_sha256),
    }


def test_lifecycle_2_3_what_cannot_identify_claims_nothing() -> None:
    request = wish(
        attributes((NameOID.SERIAL_NUMBER, "None"), (NameOID.COMMON_NAME, "0")),
        x509.DNSName("no name"),
        x509.UniformResourceIdentifier("no scheme"),
    )

    claims = claims_of(request)

    assert {each.kind for each in claims.identities} == {
        IdentityKind.COMMON_NAME,
        IdentityKind.SPKI_SHA256,
    }


def test_lifecycle_2_3_what_a_device_answers_to_contradicts_nothing() -> None:
    device = a_device(identities=(to_identity(IdentityKind.SERIAL_NUMBER, "SN-1"),))
    uri = x509.UniformResourceIdentifier(f"urn:uuid:{device.device_id}")
    subject = attributes((NameOID.COMMON_NAME, "SN-1"), (NameOID.SERIAL_NUMBER, "pump-1"))

    foreign = foreign_claims(claims_of(wish(subject, uri), ["pump-1"]), device)

    assert (foreign.names, foreign.device_ids) == (frozenset(), frozenset())
    assert {each.kind for each in foreign.identities} == {
        IdentityKind.SAN_URI,
        IdentityKind.SPKI_SHA256,
    }
