from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crl import make_crl
from ca.issuers import Issuer
from enroll.certificates import RevocationList, RevocationReason, RevokedEntry
from tests.support.authority import (
    ISSUER_KINDS,
    PUBLIC_URL,
    a_root,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START
from tests.support.lint import check_crl
from tests.support.openssl import openssl, verify_chain

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def an_entry(number: int = 0xABCDEF, **changes: object) -> RevokedEntry:
    made = RevokedEntry(
        serial_number=f"{number:x}",
        revoked_at=START - HOUR,
        reason=RevocationReason.KEY_COMPROMISE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's words


def a_crl(
    *entries: RevokedEntry, issuer: Issuer | None = None, number: int = 7, at: datetime = START
) -> RevocationList:
    return make_crl(
        issuer or an_issuer(),
        entries,
        number=number,
        this_update=at,
        next_update=at + DAY,
        revocation_version=3,
    )


def read(crl: RevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(crl.der)


@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_a_list_is_the_issuer_s_and_says_so(kind: str) -> None:
    issuer = an_issuer(kind)

    crl = a_crl(an_entry(), issuer=issuer)

    found = read(crl)
    public = issuer.certificate.public_key()
    assert found.is_signature_valid(public)  # type: ignore[arg-type]  # an issuer's key can sign
    assert found.issuer == issuer.certificate.subject
    identifier = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert identifier.value.key_identifier == own.value.digest
    assert not identifier.critical
    check_crl(crl.der)


def test_a_list_holds_its_number_and_dates_and_nothing_else() -> None:
    crl = a_crl(number=2**64)

    found = read(crl)
    assert {type(each.value) for each in found.extensions} == {
        x509.CRLNumber,
        x509.AuthorityKeyIdentifier,
    }
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2**64
    assert (found.last_update_utc, found.next_update_utc) == (START, START + DAY)
    assert len(found) == 0
    assert (crl.number, crl.issuer, crl.revocation_version) == (2**64, "issuing", 3)
    check_crl(crl.der)


def test_openssl_reads_the_list_as_it_was_meant() -> None:
    crl = a_crl(an_entry(0x1234), an_entry(0x5678, reason=RevocationReason.CERTIFICATE_HOLD))

    text = openssl("crl", "-inform", "DER", "-noout", "-text", given=crl.der).decode()

    for words in (
        "Version 2 (0x1)",
        "Issuer: CN = Test Issuing CA",
        "Last Update: Nov 24 12:00:00 2026 GMT",
        "Next Update: Nov 25 12:00:00 2026 GMT",
        "X509v3 CRL Number: \n                7\n",
        "Serial Number: 1234",
        "Key Compromise",
        "Serial Number: 5678",
        "Certificate Hold",
        "Revocation Date: Nov 24 11:00:00 2026 GMT",
    ):
        assert words in text


def test_openssl_refuses_a_revoked_certificate_and_takes_one_that_is_not(tmp_path: Path) -> None:
    order = an_order()
    leaf = x509.load_der_x509_certificate(issue(an_authority(), order))
    files = {
        "leaf": leaf.public_bytes(Encoding.PEM),
        "issuing": an_issuer().certificate.public_bytes(Encoding.PEM),
        "root": a_root().public_bytes(Encoding.PEM),
    }
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)

    judged = {}
    for name, entry in (("revoked", an_entry(order.serial_number)), ("other", an_entry())):
        crl = read(a_crl(entry)).public_bytes(Encoding.PEM)
        (tmp_path / "crl").write_bytes(crl)
        judged[name] = openssl_verdict(tmp_path)

    assert "certificate revoked" in judged["revoked"]
    assert judged["other"].endswith("leaf: OK")


def openssl_verdict(folder: Path) -> str:
    """Judge the leaf with its issuer's list."""
    (folder / "trusted").write_bytes((folder / "root").read_bytes() + (folder / "crl").read_bytes())
    return verify_chain(
        folder / "leaf",
        folder / "trusted",
        between=[folder / "issuing"],
        at=START,
        options=("-crl_check",),
    ).words


@pytest.mark.parametrize("reason", RevocationReason)
def test_each_reason_is_told_as_rfc_5280_numbers_it(reason: RevocationReason) -> None:
    crl = a_crl(an_entry(reason=reason))

    (entry,) = read(crl)
    if reason is RevocationReason.UNSPECIFIED:
        # RFC 5280 §5.3.1: it should be absent instead.
        assert len(entry.extensions) == 0
    else:
        found = entry.extensions.get_extension_for_class(x509.CRLReason)
        assert found.value.reason.value == reason.value
        assert not found.critical
    check_crl(crl.der)


def test_an_entry_has_the_certificate_s_serial_number_and_whole_seconds() -> None:
    number = (1 << 159) - 1
    at = START - timedelta(microseconds=1)

    crl = a_crl(an_entry(number, revoked_at=at))

    (entry,) = read(crl)
    assert entry.serial_number == number
    assert entry.revocation_date_utc == at.replace(microsecond=0)


def test_no_entry_is_lost_and_none_is_added() -> None:
    numbers = [1 << 158 | each for each in range(500)]

    crl = a_crl(*[an_entry(number) for number in numbers])

    assert sorted(each.serial_number for each in read(crl)) == numbers
    check_crl(crl.der)


def test_the_root_s_list_is_made_the_same_way() -> None:
    root = Issuer(
        name="root",
        certificate=a_root(),
        key=a_key("p-384", 1),
        public_http_url=PUBLIC_URL,
    )

    crl = a_crl(issuer=root)

    assert read(crl).signature_hash_algorithm is not None
    assert read(crl).issuer == a_root().subject
    check_crl(crl.der)


def test_dates_from_2050_on_are_read_as_they_were_meant() -> None:
    at = START.replace(year=2049, month=12, day=31, hour=23)

    crl = a_crl(an_entry(revoked_at=at), at=at)

    found = read(crl)
    assert (found.last_update_utc, found.next_update_utc) == (at, at + DAY)
    check_crl(crl.der)
