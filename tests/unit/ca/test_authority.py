from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuers import Issuer, IssuerSet
from ca.local import LocalAuthority
from enroll.failures import AuthorityUnavailable, EnrollmentError, FailureReason, PolicyViolation
from tests.support.authority import (
    A_SERIAL_NUMBER,
    PUBLIC_URL,
    a_record_of,
    a_root,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START, FixedClock

ISSUER = an_issuer()
ENDS = ISSUER.certificate.not_valid_after_utc
SECOND = timedelta(seconds=1)


def a_counterfeit_issuer() -> Issuer:
    """Make a CA with the name, serial number and key identifiers of ours, and another key."""
    key, own = a_key("p-256", 66), ISSUER.certificate
    builder = (
        x509.CertificateBuilder()
        .serial_number(own.serial_number)
        .issuer_name(own.issuer)
        .subject_name(own.subject)
        .public_key(key.public_key())
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
    )
    for extension in own.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    forged = builder.sign(a_key("p-384", 66), hashes.SHA384())
    return Issuer(name="issuing", certificate=forged, key=key, public_http_url=PUBLIC_URL)


def refused(authority: LocalAuthority, **changes: object) -> EnrollmentError:
    record = a_record_of(issue(an_authority(), an_order()), **changes)
    with pytest.raises(EnrollmentError) as refusal:
        authority.check_issued(record)
    return refusal.value


def test_a_certificate_comes_with_the_chain_above_it() -> None:
    authority = an_authority()

    with pytest.raises(StopIteration) as done:
        authority.issue(an_order()).send(None)

    issued = done.value.value
    assert issued.issuer == "issuing"
    assert issued.chain == (ISSUER.der, a_root().public_bytes(Encoding.DER))
    assert authority.chain("issuing") == issued.chain


def test_an_issuer_that_is_not_there_is_unavailable() -> None:
    authority = an_authority()

    for ask in (
        lambda: issue(authority, an_order(issuer="another")),
        lambda: authority.chain("another"),
        lambda: authority.not_valid_after("another"),
        lambda: authority.not_valid_before("another"),
    ):
        with pytest.raises(AuthorityUnavailable, match="no issuer 'another'"):
            ask()


@pytest.mark.parametrize(
    "now", [ENDS + SECOND, ENDS + timedelta(days=3650), START - timedelta(minutes=5, seconds=1)]
)
def test_an_issuer_outside_of_its_validity_signs_nothing(now: datetime) -> None:
    authority = an_authority(clock=FixedClock(now))
    order = an_order(not_valid_before=now, not_valid_after=now + SECOND)

    with pytest.raises(AuthorityUnavailable, match="not valid now") as refusal:
        issue(authority, order)

    assert refusal.value.retry_after == 60


def test_an_issuer_signs_until_its_last_second() -> None:
    clock = FixedClock(ENDS - SECOND)

    der = issue(
        an_authority(clock=clock),
        an_order(not_valid_before=ENDS - SECOND, not_valid_after=ENDS),
    )

    assert x509.load_der_x509_certificate(der).not_valid_after_utc == ENDS


def test_lint_looks_at_every_order_and_not_only_at_the_first_of_its_shape() -> None:
    authority = an_authority()
    issue(authority, an_order())

    with pytest.raises(PolicyViolation, match="outlives"):
        issue(authority, an_order(not_valid_after=ENDS + SECOND))


def test_the_issuer_s_dates_are_told() -> None:
    authority = an_authority()

    assert authority.not_valid_before("issuing") == START - timedelta(minutes=5)
    assert authority.not_valid_after("issuing") == ENDS


def test_a_certificate_of_ours_is_known_each_time_it_is_shown() -> None:
    authority = an_authority()
    record = a_record_of(issue(authority, an_order()))

    for _ in range(3):
        authority.check_issued(record)


def test_security_T3_a_forged_certificate_of_the_same_issuer_serial_and_key_ids_is_refused() -> (
    None
):
    """All that a certificate says of itself is as in ours; only the signature cannot be."""
    order = an_order()
    genuine = a_record_of(issue(an_authority(), order))
    forged = a_record_of(issue(an_authority(a_counterfeit_issuer()), order))
    authority = an_authority()
    authority.check_issued(genuine)

    with pytest.raises(EnrollmentError) as refusal:
        authority.check_issued(forged)

    assert refusal.value.reason is FailureReason.SIGNER_NOT_TRUSTED
    assert refusal.value.finding == "certificate_not_ours"
    one, other = genuine.certificate, forged.certificate
    assert (one.issuer, one.serial_number) == (other.issuer, other.serial_number)
    assert list(one.extensions) == list(other.extensions)


def test_security_T3_the_fingerprint_of_one_of_ours_does_not_vouch_for_another() -> None:
    """A known fingerprint is not looked up before it is compared with the octets."""
    authority = an_authority()
    genuine = a_record_of(issue(authority, an_order()))
    forged = a_record_of(
        issue(an_authority(a_counterfeit_issuer()), an_order()), fingerprint=genuine.fingerprint
    )
    authority.check_issued(genuine)

    with pytest.raises(EnrollmentError, match="do not belong together"):
        authority.check_issued(forged)


def test_security_T3_a_certificate_that_one_of_ours_signed_is_not_ours() -> None:
    """A device's key can sign, too; its certificate is no CA."""
    device_key = a_key("p-256", 3)
    device = x509.load_der_x509_certificate(issue(an_authority(), an_order()))
    builder = x509.CertificateBuilder(
        issuer_name=device.subject,
        subject_name=device.subject,
        public_key=a_key("p-256", 4).public_key(),
        serial_number=A_SERIAL_NUMBER,
        not_valid_before=START,
        not_valid_after=ENDS,
    )
    below = builder.sign(device_key, hashes.SHA256()).public_bytes(Encoding.DER)

    with pytest.raises(EnrollmentError, match="did not sign it"):
        an_authority().check_issued(a_record_of(below))


@pytest.mark.parametrize("place", [40, 100, 300, -1, -10])
def test_a_certificate_with_one_octet_changed_is_refused(place: int) -> None:
    der = bytearray(issue(an_authority(), an_order()))
    der[place] ^= 1
    record = replace(
        a_record_of(issue(an_authority(), an_order())),
        der=bytes(der),
        fingerprint=sha256(der).hexdigest(),
    )

    with pytest.raises(EnrollmentError) as refusal:
        an_authority().check_issued(record)

    assert refusal.value.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_octets_that_are_no_certificate_are_refused() -> None:
    record = replace(
        a_record_of(issue(an_authority(), an_order())),
        der=b"0\0",
        fingerprint=sha256(b"0\0").hexdigest(),
    )

    with pytest.raises(EnrollmentError) as refusal:
        an_authority().check_issued(record)

    assert refusal.value.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_a_record_that_names_another_issuer_is_refused() -> None:
    refusal = refused(an_authority(), issuer="another")

    assert refusal.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_what_an_issuer_of_the_same_name_signed_is_refused() -> None:
    """Another installation's, say, whose backup was restored here."""
    refusal = refused(an_authority(an_issuer("p-384")))

    assert refusal.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_several_issuers_keep_their_orders_apart() -> None:
    one, other = an_issuer(), replace(an_issuer("p-384"), name="other")
    issuers = IssuerSet(issuers={"issuing": one, "other": other}, roots=())
    authority = LocalAuthority(issuers, FixedClock())

    first, second = issue(authority, an_order()), issue(authority, an_order(issuer="other"))

    x509.load_der_x509_certificate(first).verify_directly_issued_by(one.certificate)
    x509.load_der_x509_certificate(second).verify_directly_issued_by(other.certificate)
    assert b"/crl/other.crl" in second
