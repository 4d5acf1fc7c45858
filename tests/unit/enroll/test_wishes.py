"""What is kept of a held request, read back by cryptography's own reader of PKCS#10."""

import ipaddress
from dataclasses import replace

import pytest
from cryptography import x509

from enroll.policy.wishes import decode_wish, encode_wish, shown_names, shown_subject
from enroll.profiles import SIGNING, KeyAlgorithm
from enroll.request import CertificateRequest
from protocols import pkcs10
from tests.support.builders import a_wish
from tests.support.csr import a_csr, a_key, a_name

NAMES = (
    x509.DNSName("pump-1.example"),
    x509.RFC822Name("pump@example.com"),
    x509.UniformResourceIdentifier("urn:uuid:1"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    x509.DirectoryName(a_name("inner")),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
    x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x02ab"),
)


def request(kind: str = "p-256", **wishes: object) -> CertificateRequest:
    return pkcs10.decode(a_csr(a_key(kind), **wishes))  # type: ignore[arg-type]  # a test's words


def kept(wanted: CertificateRequest) -> CertificateRequest:
    """Keep a request, and give it as it would be fulfilled."""
    wish = a_wish(
        spki=wanted.spki,
        spki_sha256=wanted.spki_sha256,
        der=encode_wish(wanted, wanted.spki),
        key_usage=wanted.key_usage,
    )
    return decode_wish(wish)


@pytest.mark.parametrize("kind", sorted(SIGNING))
def test_a_key_of_every_kind_comes_back(kind: KeyAlgorithm) -> None:
    wanted = request("rsa-2048" if kind.value.startswith("rsa") else kind.value)

    found = kept(wanted)

    assert (found.spki, found.spki_sha256) == (wanted.spki, wanted.spki_sha256)
    assert found.public_key == wanted.public_key


@pytest.mark.parametrize("name", NAMES, ids=lambda name: type(name).__name__)
def test_a_name_of_every_kind_comes_back_and_is_shown(name: x509.GeneralName) -> None:
    wanted = request(names=(name,))

    found = kept(wanted)

    assert found.subject_alternative_names == (name,)
    assert shown_names(found) == shown_names(wanted)
    assert len(shown_names(wanted)) == 1


@pytest.mark.parametrize("count", [0, 1, 5, 12, 100])
def test_names_come_back_however_many_they_are(count: int) -> None:
    names = tuple(x509.DNSName(f"pump-{number}.example") for number in range(count))
    wanted = request(names=names, subject=a_name("x" * 60))

    found = kept(wanted)

    assert found.subject == wanted.subject
    assert (found.subject_alternative_names or ()) == names


def test_what_is_shown_does_not_depend_on_the_order_of_names() -> None:
    wanted = request(names=NAMES)
    turned = replace(wanted, subject_alternative_names=tuple(reversed(NAMES)))

    assert shown_names(wanted) == shown_names(turned)
    assert len(set(shown_names(wanted))) == len(NAMES)
    assert shown_subject(wanted) == "CN=pump-1"


def test_a_secret_in_the_request_is_not_kept() -> None:
    wanted = replace(request(), challenge_password="AAAA-BBBB-CCCC")

    assert b"AAAA-BBBB-CCCC" not in encode_wish(wanted, wanted.spki)
    assert kept(wanted).challenge_password is None
