"""Messages that real SCEP clients wrote (`tests/vectors/cms`)."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from enroll.failures import EnrollmentError, FailureReason
from protocols.cms.content_ciphers import AES_CBC, ContentEncryption
from protocols.cms.digests import STRONG, Digest
from protocols.cms.enveloped_data import open_enveloped_data
from protocols.cms.private_keys import TransportKey
from protocols.cms.signed_data import decode_signed_data, verify
from tests.support.cms import a_lasting_party

VECTORS = Path(__file__).parents[3] / "vectors" / "cms"
STRONGSWAN, MICROMDM = "CN=ssw1,O=Mini", "CN=dev1,OU=MDM,O=scep-client,C=US"
DES3, DES = ContentEncryption.DES_EDE3_CBC, ContentEncryption.DES_CBC
OLD = [("strongswan-des3", STRONGSWAN, DES3), ("micromdm", MICROMDM, DES)]


def opened(name: str, *, digests: frozenset[Digest], ciphers: frozenset[ContentEncryption]) -> str:
    """Verify and open a message; give the subject of the request within."""
    key = a_lasting_party("rsa2048.pem").key
    assert isinstance(key, rsa.RSAPrivateKey)
    ours = x509.load_pem_x509_certificate((VECTORS / "ra.pem").read_bytes())
    read = decode_signed_data((VECTORS / f"{name}.der").read_bytes())
    verify(read, allowed=digests)
    envelope = open_enveloped_data(
        read.content or b"", keys=(TransportKey.holding(ours, key),), allowed=ciphers
    )
    return x509.load_der_x509_csr(envelope.content).subject.rfc4514_string()


@pytest.mark.parametrize("name", ["strongswan", "strongswan-pss"])
def test_scep_36_and_40_what_strongswan_writes_is_read(name: str) -> None:
    assert opened(name, digests=STRONG, ciphers=AES_CBC) == STRONGSWAN


@pytest.mark.parametrize(("name", "subject", "cipher"), OLD)
def test_scep_34_and_38_what_old_clients_write_is_read_by_who_allows_it(
    name: str, subject: str, cipher: ContentEncryption
) -> None:
    allowed = AES_CBC | {cipher}

    assert opened(name, digests=STRONG | {Digest.SHA1}, ciphers=allowed) == subject


@pytest.mark.parametrize(("name", "subject", "cipher"), OLD)
def test_scep_34_and_43_old_algorithms_are_refused_each_by_itself(
    name: str, subject: str, cipher: ContentEncryption
) -> None:
    del subject
    for digests, ciphers in (
        (STRONG, AES_CBC | {cipher}),
        (STRONG | {Digest.SHA1}, AES_CBC),
    ):
        with pytest.raises(EnrollmentError) as refused:
            opened(name, digests=digests, ciphers=ciphers)

        assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM
