from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from ca.ceremony import Ceremony
from ca.issuers import Issuer, IssuerError, IssuerSet, signature_hash_for
from ca.template import Splicer
from tests.support.authority import (
    A_SERIAL_NUMBER,
    ISSUER_KINDS,
    ML_DSA,
    PUBLIC_URL,
    a_root,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key, a_name, some_key_usage
from tests.support.fakes import START
from tests.support.openssl import make_key, openssl

KEY = a_key("p-256", 2)
CA = x509.BasicConstraints(ca=True, path_length=0)
CA_USAGE = some_key_usage(key_cert_sign=True, crl_sign=True)
IDENTIFIER = x509.SubjectKeyIdentifier(b"x" * 20)


def a_certificate(*extensions: x509.ExtensionType) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=a_name("root"),
        subject_name=a_name("issuing"),
        public_key=KEY.public_key(),
        serial_number=A_SERIAL_NUMBER,
        not_valid_before=START,
        not_valid_after=START.replace(year=2030),
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(a_key("p-256", 1), hashes.SHA256())


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (CA, CA_USAGE),
        (CA, IDENTIFIER),
        (CA_USAGE, IDENTIFIER),
        (x509.BasicConstraints(ca=False, path_length=None), CA_USAGE, IDENTIFIER),
        (CA, some_key_usage(key_cert_sign=True), IDENTIFIER),
        (CA, some_key_usage(crl_sign=True), IDENTIFIER),
        (CA, some_key_usage(digital_signature=True), IDENTIFIER),
    ],
    ids=["bare", "no SKI", "no usage", "no constraints", "no CA", "no CRL", "no certs", "leaf"],
)
def test_a_certificate_that_may_not_sign_makes_no_issuer(
    extensions: tuple[x509.ExtensionType, ...],
) -> None:
    with pytest.raises(IssuerError, match="'issuing'"):
        Issuer(
            name="issuing",
            certificate=a_certificate(*extensions),
            key=KEY,
            public_http_url=PUBLIC_URL,
        )


def test_a_device_s_certificate_makes_no_issuer() -> None:
    leaf = x509.load_der_x509_certificate(issue(an_authority(), an_order()))

    with pytest.raises(IssuerError):
        Issuer(
            name="issuing",
            certificate=leaf,
            key=a_key("p-256", 3),
            public_http_url=PUBLIC_URL,
        )


@pytest.mark.parametrize("key", [a_key("p-256", 5), a_key("rsa-2048"), a_key("ed25519")])
def test_a_key_of_another_certificate_makes_no_issuer(key: Any) -> None:
    with pytest.raises(IssuerError, match="private key"):
        replace(an_issuer(), key=key)


def test_a_key_does_not_show_when_an_issuer_is_printed() -> None:
    assert "key=" not in repr(an_issuer())


@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_the_hash_is_as_strong_as_the_key(kind: str) -> None:
    expected = {"p-384": "sha384", "p-521": "sha512"}

    digest = signature_hash_for(a_key(kind))

    if kind in {"ed25519", "ed448", *ML_DSA}:
        assert digest is None
    else:
        assert digest is not None
        assert digest.name == expected.get(kind, "sha256")


def test_a_key_that_no_ca_signs_with_has_no_hash() -> None:
    with pytest.raises(ValueError, match="DSAPrivateKey"):
        signature_hash_for(dsa.generate_private_key(1024))


def test_what_cacerts_holds_begins_with_the_issuers_and_names_each_once() -> None:
    one, other = an_issuer(), replace(an_issuer("p-384"), name="other")
    root = a_root().public_bytes(Encoding.DER)
    issuers = IssuerSet(issuers={"issuing": one, "other": other}, roots=(root, root))

    assert issuers.certificates == (one.der, other.der, root)


def test_an_issuer_made_by_openssl_keeps_the_spelling_of_its_name(tmp_path: Path) -> None:
    """Old CAs have TeletexStrings and RDNs of several attributes: octets decide, not text."""
    path = make_key(tmp_path / "ca.key")
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    configuration = tmp_path / "ca.cnf"
    configuration.write_text(
        "[req]\nprompt=no\nstring_mask=MASK:0x4\ndistinguished_name=name\nx509_extensions=ca\n"
        "[name]\nC=DE\nO=Example\n+OU=Pumps\nCN=Old CA\n"
        "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        "subjectKeyIdentifier=hash\n"
    )
    pem = openssl("req", "-x509", "-new", "-key", path, "-config", configuration, "-days", "9000")
    certificate = x509.load_pem_x509_certificate(pem)
    issuer = Issuer(
        name="issuing",
        certificate=certificate,
        key=key,
        public_http_url=PUBLIC_URL,
    )
    begins = certificate.not_valid_before_utc
    order = an_order(not_valid_before=begins, not_valid_after=begins.replace(year=begins.year + 1))

    der = Splicer(issuer).certificate(order)

    subject = certificate.subject.public_bytes()
    assert b"\x14\x06Old CA" in subject
    assert subject in der
    x509.load_der_x509_certificate(der).verify_directly_issued_by(certificate)


def test_the_root_of_our_own_ceremony_makes_an_issuer_of_revocation_lists() -> None:
    ceremony = Ceremony(name="Test", now=START, public_http_url=PUBLIC_URL)
    root = ceremony.root(a_key("p-384", 1), A_SERIAL_NUMBER)

    issuer = Issuer(
        name="root", certificate=root, key=a_key("p-384", 1), public_http_url=PUBLIC_URL
    )

    assert issuer.authority_key_identifier.key_identifier == (
        root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
