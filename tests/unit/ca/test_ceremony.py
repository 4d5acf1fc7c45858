from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.ceremony import Ceremony
from tests.support.authority import (
    A_SERIAL_NUMBER,
    CLASSICAL,
    PUBLIC_URL,
    a_root,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START
from tests.support.lint import check_certificate
from tests.support.openssl import certificate_text, verify_chain

KINDS = ("p-256", "p-384", "p-521", "rsa-2048", "ed25519", "ed448")


def pem(path: Path, certificate: x509.Certificate | bytes) -> Path:
    if isinstance(certificate, bytes):
        certificate = x509.load_der_x509_certificate(certificate)
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("root_kind", ["p-384", "rsa-2048", "ed25519"])
@pytest.mark.parametrize("kind", CLASSICAL)
def test_openssl_and_pkilint_take_the_whole_chain(
    tmp_path: Path, kind: str, root_kind: str
) -> None:
    issuer = an_issuer(kind, root_kind)
    leaf = issue(an_authority(issuer), an_order())

    found = verify_chain(
        pem(tmp_path / "leaf.pem", leaf),
        pem(tmp_path / "root.pem", a_root(root_kind)),
        between=[pem(tmp_path / "issuing.pem", issuer.certificate)],
        purpose="sslclient",
        at=START,
    )

    assert found.ok, found.words
    for each in (der(a_root(root_kind)), issuer.der, leaf):
        check_certificate(each)


def test_openssl_refuses_what_the_issuing_ca_may_not_sign(tmp_path: Path) -> None:
    """A CA under the issuing CA: its pathLen is 0."""
    issuer = an_issuer()
    ceremony = Ceremony(name="Under", now=START, public_http_url=PUBLIC_URL)
    below = ceremony.issuing(a_key("p-256", 7), A_SERIAL_NUMBER, issuer.certificate, issuer.key)
    beside = pem(tmp_path / "below.pem", below)
    leaf = ceremony.issuing(a_key("p-256", 8), A_SERIAL_NUMBER + 9, below, a_key("p-256", 7))

    found = verify_chain(
        pem(tmp_path / "leaf.pem", leaf),
        pem(tmp_path / "root.pem", a_root()),
        between=[pem(tmp_path / "issuing.pem", issuer.certificate), beside],
        at=START,
    )

    assert not found.ok
    assert "path length constraint exceeded" in found.words


def test_the_root_is_as_rfc_5280_wants_a_ca() -> None:
    text = certificate_text(der(a_root()))

    assert "Version: 3 (0x2)" in text
    assert "X509v3 Basic Constraints: critical\n                CA:TRUE\n" in text
    assert "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n" in text
    assert "X509v3 Subject Key Identifier:" in text
    assert "Issuer: CN = Test Root CA" in text
    assert "Subject: CN = Test Root CA" in text
    assert "CRL Distribution" not in text
    a_root().verify_directly_issued_by(a_root())


def test_the_issuing_ca_signs_end_entities_only_and_says_where_its_issuer_is() -> None:
    text = certificate_text(an_issuer().der)

    assert "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n" in text
    assert "X509v3 Key Usage: critical\n" in text
    assert " Digital Signature, Certificate Sign, CRL Sign\n" in text
    assert "Issuer: CN = Test Root CA" in text
    assert "Subject: CN = Test Issuing CA" in text
    assert f"URI:{PUBLIC_URL}/crl/root.crl" in text
    assert f"CA Issuers - URI:{PUBLIC_URL}/ca/root.crt" in text
    assert "Extended Key Usage" not in text


def test_key_identifiers_chain_up() -> None:
    root, issuing = a_root().extensions, an_issuer().certificate.extensions
    leaf = x509.load_der_x509_certificate(issue(an_authority(), an_order())).extensions

    pairs = [
        (
            below.get_extension_for_class(x509.AuthorityKeyIdentifier).value,
            above.get_extension_for_class(x509.SubjectKeyIdentifier).value,
        )
        for below, above in ((issuing, root), (leaf, issuing))
    ]

    for authority, subject in pairs:
        assert authority.key_identifier == subject.digest
        assert authority.authority_cert_issuer is None
        assert authority.authority_cert_serial_number is None
    assert pairs[0][1] != pairs[1][1]


def test_the_certificates_live_as_long_as_was_promised_within_each_other() -> None:
    root, issuing = a_root(), an_issuer().certificate

    assert root.not_valid_before_utc == issuing.not_valid_before_utc == START - timedelta(minutes=5)
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=365 * 20)
    assert issuing.not_valid_after_utc - issuing.not_valid_before_utc == timedelta(days=365 * 10)


def test_fractions_of_a_second_leave_no_trace() -> None:
    ceremony = Ceremony(
        name="Test", now=START.replace(microsecond=999_999), public_http_url=PUBLIC_URL
    )

    root = ceremony.root(a_key("p-256"), A_SERIAL_NUMBER)

    assert root.not_valid_before_utc == START - timedelta(minutes=5)


def test_another_root_s_key_does_not_make_the_issuing_ca() -> None:
    ceremony = Ceremony(name="Test", now=START, public_http_url=PUBLIC_URL)
    forged = ceremony.issuing(a_key("p-256", 2), A_SERIAL_NUMBER, a_root(), a_key("p-384", 5))

    with pytest.raises(InvalidSignature):
        forged.verify_directly_issued_by(a_root())


@pytest.mark.parametrize(
    "name", ["M\u00fcller & S\u00f6hne", "O'Brien, Ltd.", "\u6c34\u6cf5", "a" * 53]
)
def test_the_installation_s_name_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    ceremony = Ceremony(name=name, now=START, public_http_url=PUBLIC_URL)
    root = ceremony.root(a_key("p-384", 1), A_SERIAL_NUMBER)
    issuing = ceremony.issuing(a_key("p-256", 2), A_SERIAL_NUMBER + 1, root, a_key("p-384", 1))

    found = verify_chain(
        pem(tmp_path / "issuing.pem", issuing), pem(tmp_path / "root.pem", root), at=START
    )

    assert found.ok, found.words
    (common_name,) = issuing.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == f"{name} Issuing CA"
    check_certificate(der(issuing))


@pytest.mark.parametrize("url", ["http://pki.example.com", "http://[::1]:8080/pki"])
def test_addresses_begin_with_the_installation_s(url: str) -> None:
    ceremony = Ceremony(name="Test", now=START, public_http_url=url)

    issuing = ceremony.issuing(a_key("p-256", 2), A_SERIAL_NUMBER, a_root(), a_key("p-384", 1))

    access = issuing.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    points = issuing.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [each.access_method for each in access] == [AuthorityInformationAccessOID.CA_ISSUERS]
    assert [each.access_location.value for each in access] == [f"{url}/ca/root.crt"]
    assert [[name.value for name in each.full_name or ()] for each in points] == [
        [f"{url}/crl/root.crl"]
    ]
