"""Messages of SCEP that are refused for what was sealed, by the cause that nobody must learn."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.identifiers import issuer_and_serial
from tests.support.cms import a_key_transport, an_envelope
from tests.support.csr import a_csr, a_key, tlv
from tests.support.scep import Message, a_pkcs_req

CODE = "AAAA-AAAA-AAAA-AAAA-AAAA"
_KEY = bytes(range(16))
# The senderNonce and the signature of an answer, which is signed with a key of RSA-2048.
_FRESH = re.compile(
    rb"(?<=\x01\x09\x05\x31\x12\x04\x10).{16}|(?<=\x04\x82\x01\x00).{256}\Z", re.DOTALL
)


def makers(kind: int, recipient: x509.Certificate | None = None) -> dict[str, Callable[[], bytes]]:
    """Give what makes messages of this type to an RA, by what is wrong with them.

    A client may send them, and so may whoever caught an envelope and changed it.
    """
    key = a_key("rsa-2048", 1)
    good = a_pkcs_req(key, CODE, kind=kind)
    recipient = recipient or good.ra.certificate
    public = recipient.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("PKCS#1 v1.5 is RSA's")
    identifier = issuer_and_serial(recipient)

    def sealed(content: bytes, encrypted_key: bytes, *, spoiled: bool = False) -> bytes:
        algorithm, encrypted = ContentEncryption.AES_128_CBC.encrypt(_KEY, content)
        if spoiled:  # One bit in the block before the last: then the padding is wrong.
            encrypted = encrypted[:-17] + bytes((encrypted[-17] ^ 1,)) + encrypted[-16:]
        transport = a_key_transport(encrypted_key, identifier=identifier)
        return an_envelope(transport, algorithm=algorithm, encrypted=tlv(0x80, encrypted))

    def transported(content_key: bytes) -> bytes:
        return public.encrypt(content_key, padding.PKCS1v15())

    request = good.content
    others = a_csr(a_key("rsa-2048", 2), challenge_password=CODE)
    envelopes: dict[str, Callable[[], bytes]] = {
        "RSA padding": lambda: sealed(request, b"\x01" + os.urandom(255)),
        "content key": lambda: sealed(request, transported(os.urandom(16))),
        "content padding": lambda: sealed(request, transported(_KEY), spoiled=True),
        "request unreadable": lambda: sealed(_garbled(request), transported(_KEY)),
        "request unproven": lambda: sealed(_unproven(request), transported(_KEY)),
        "another's request": lambda: sealed(others, transported(_KEY)),
    }
    return {cause: partial(_signed, good, make) for cause, make in envelopes.items()}


def lasting(answer: bytes) -> bytes:
    """Leave out of an answer what is new in each."""
    return _FRESH.sub(b"", answer)


def _signed(message: Message, make: Callable[[], bytes]) -> bytes:
    return replace(message, spoil=lambda _: make()).encode()


def _garbled(request: bytes) -> bytes:
    """Do to one block and one bit what whoever changes CBC does; here to the names."""
    return request[:16] + os.urandom(16) + request[32:]


def _unproven(request: bytes) -> bytes:
    """Change the last octet of the signature alone."""
    return request[:-1] + bytes((request[-1] ^ 1,))
