import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5652

from enroll.failures import Malformed
from protocols.cms import certs_only
from protocols.cms.content_info import DATA
from protocols.cms.signed_data import encode_signed_data
from tests.support.cms import a_party, a_signed_message, a_signer_info
from tests.support.openssl import openssl
from tests.support.wire import a_certificate

ONE = (a_certificate(),)
THREE = (a_certificate("pump-1"), a_certificate("issuing"), a_certificate("a" * 60))


@pytest.mark.parametrize("certificates", [ONE, THREE, THREE[::-1]])
def test_it_is_octet_for_octet_what_cryptography_makes(certificates: tuple[bytes, ...]) -> None:
    loaded = [x509.load_der_x509_certificate(each) for each in certificates]
    expected = pkcs7.serialize_certificates(loaded, serialization.Encoding.DER)

    assert certs_only.encode(certificates) == expected


def test_openssl_reads_the_certificates_back() -> None:
    printed = subprocess.run(
        ["openssl", "pkcs7", "-inform", "DER", "-print_certs"],
        input=certs_only.encode(THREE),
        capture_output=True,
        check=True,
    ).stdout

    found = x509.load_pem_x509_certificates(printed)
    assert {each.public_bytes(serialization.Encoding.DER) for each in found} == set(THREE)


def test_pyasn1_finds_a_signed_data_without_signers() -> None:
    outer, rest = decoder.decode(certs_only.encode(ONE), asn1Spec=rfc5652.ContentInfo())
    inner, inner_rest = decoder.decode(outer["content"], asn1Spec=rfc5652.SignedData())

    assert (rest, inner_rest) == (b"", b"")
    assert outer["contentType"] == rfc5652.id_signedData
    assert int(inner["version"]) == 1
    assert inner["encapContentInfo"]["eContentType"] == rfc5652.id_data
    assert not inner["encapContentInfo"]["eContent"].isValue
    assert not inner["crls"].isValue
    assert (len(inner["certificates"]), len(inner["signerInfos"])) == (1, 0)


def test_the_certificates_that_openssl_put_together_are_read(tmp_path: Path) -> None:
    pems = tmp_path / "certificates.pem"
    loaded = [x509.load_der_x509_certificate(each) for each in THREE]
    pems.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in loaded))
    message = openssl("crl2pkcs7", "-nocrl", "-certfile", pems, "-outform", "DER")

    assert set(certs_only.decode(message)) == set(THREE)


@pytest.mark.parametrize("certificates", [(), ONE, THREE])
def test_what_was_written_is_read(certificates: tuple[bytes, ...]) -> None:
    assert certs_only.decode(certs_only.encode(certificates)) == tuple(sorted(certificates))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        certs_only.encode(ONE)[:-1],
        certs_only.encode(ONE) + b"\x00",
        a_signed_message(b"", a_signer_info(())),
        a_signed_message(b""),
        encode_signed_data(DATA, None, signer=a_party("p-256").signer(), certificates=ONE),
    ],
)
def test_what_holds_more_than_certificates_or_none_at_all_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        certs_only.decode(message)
