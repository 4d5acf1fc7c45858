"""Any octets are an envelope for one of our keys, or refused: EnvelopedData in BER or DER."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.enveloped_data import open_enveloped_data
from protocols.cms.passwords import Password
from protocols.cms.recipients import KeyEncryptionKey
from tests.support.cms import a_lasting_party, key_of

KEYS = (
    key_of(a_lasting_party("rsa2048.pem")),
    key_of(a_lasting_party("p256.pem")),
    KeyEncryptionKey(key_identifier=b"key-1", key=bytes(range(16))),
    Password(password=b"a secret in common"),
)
_ALLOWED = frozenset(ContentEncryption)


def fuzz_cms_enveloped(data: bytes) -> None:
    with suppress(EnrollmentError):
        open_enveloped_data(data, keys=KEYS, allowed=_ALLOWED)
