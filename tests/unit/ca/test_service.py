from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.service import CMC_RA, TLS_VALIDITY, tls_order
from enroll.certificates import IssuanceOrder
from tests.support.authority import A_SERIAL_NUMBER, a_root, an_authority, an_issuer, issue
from tests.support.csr import a_key
from tests.support.fakes import START, FixedClock
from tests.support.lint import check_certificate
from tests.support.openssl import verify_chain

ENDS = an_issuer().certificate.not_valid_after_utc


def an_order_for(*hosts: str, now: datetime = START) -> IssuanceOrder:
    authority = an_authority()
    return tls_order(
        a_key("p-256", 3).public_key(),
        hosts,
        serial_number=A_SERIAL_NUMBER,
        issuer="issuing",
        now=now,
        not_before=authority.not_valid_before("issuing"),
        not_after=authority.not_valid_after("issuing"),
    )


def made(order: IssuanceOrder, now: datetime = START) -> x509.Certificate:
    der = issue(an_authority(clock=FixedClock(now)), order)
    check_certificate(der)
    return x509.load_der_x509_certificate(der)


def names_in(certificate: x509.Certificate) -> list[object]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [each.value for each in names]


def test_a_server_is_known_by_its_hosts_and_by_the_loopback() -> None:
    certificate = made(an_order_for("pki.example.com", "192.0.2.1", "2001:db8::1"))

    assert names_in(certificate) == [
        "pki.example.com",
        ip_address("192.0.2.1"),
        ip_address("2001:db8::1"),
        "localhost",
        ip_address("127.0.0.1"),
        ip_address("::1"),
    ]


def test_a_host_that_is_named_twice_is_there_once() -> None:
    certificate = made(an_order_for("localhost", "pki.example.com", "pki.example.com"))

    assert names_in(certificate)[:2] == ["localhost", "pki.example.com"]
    assert len(names_in(certificate)) == 4


def test_est_H1_clients_see_a_server_that_its_ca_made_a_registration_authority() -> None:
    """RFC 7030 §3.6.1, for those who have only an explicit trust anchor."""
    certificate = made(an_order_for("pki.example.com"))

    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, CMC_RA}


@pytest.mark.parametrize("host", ["pki.example.com", ".".join(["x" * 60] * 3)])
def test_openssl_takes_the_server_for_what_it_is(tmp_path: Path, host: str) -> None:
    files = {"tls": made(an_order_for(host)), "root": a_root(), "issuing": an_issuer().certificate}
    for name, certificate in files.items():
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))

    found = verify_chain(
        tmp_path / "tls",
        tmp_path / "root",
        between=[tmp_path / "issuing"],
        purpose="sslserver",
        at=START,
        options=("-verify_hostname", host),
    )

    assert found.ok, found.words


def test_a_host_too_long_for_a_common_name_leaves_it_to_another() -> None:
    certificate = made(an_order_for(".".join(["x" * 60] * 3), "short.example"))

    assert certificate.subject.rfc4514_string() == "CN=short.example"


def test_a_server_s_certificate_lasts_90_days() -> None:
    certificate = made(an_order_for())

    assert certificate.not_valid_before_utc == START - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == START + TLS_VALIDITY


def test_in_the_last_days_of_the_issuer_a_server_still_gets_a_certificate() -> None:
    now = ENDS - timedelta(days=3)

    certificate = made(an_order_for(now=now), now=now)

    assert certificate.not_valid_after_utc == ENDS


def test_in_the_first_minutes_of_the_issuer_a_server_already_gets_a_certificate() -> None:
    begins = an_issuer().certificate.not_valid_before_utc
    now = begins + timedelta(seconds=1)

    certificate = made(an_order_for(now=now), now=now)

    assert certificate.not_valid_before_utc == begins
