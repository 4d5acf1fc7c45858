import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5652

from protocols.cms import certs_only
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
