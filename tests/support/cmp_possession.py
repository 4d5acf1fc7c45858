"""What was encrypted for a key that is to be proven, opened as RFC 9810 §5.2.8.3 has it."""

import hashlib
from typing import Any

from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc2459

from protocols import der
from protocols.cms.enveloped_data import open_enveloped_data
from tests.support.cmp import integer
from tests.support.cmp_conversation import Answered
from tests.support.cms import holder_of, key_of
from tests.support.csr import sequence, tlv

ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")


def decrypted(enveloped: bytes, key: Any) -> bytes:
    """Open an EnvelopedData, its tag whichever it has, with a private key."""
    (element,) = der.split(enveloped)
    message = sequence(ENVELOPED_DATA, tlv(0xA0, sequence(element.content)))
    return open_enveloped_data(message, keys=(key_of(holder_of(key)),)).content


def decrypted_rand(challenged: Answered, key: Any) -> bytes:
    """Check a popdecc as RFC 9810 §5.2.8.3.3 and its appendix F have it; give the INTEGER."""
    (challenge,) = challenged.body
    assert encoder.encode(challenge["owf"]) == sequence(bytes.fromhex("0609608648016503040201"))
    assert challenge["challenge"].asOctets() == b""
    recipient = encoder.encode(challenge["encryptedRand"])
    (tagged,) = der.split(recipient)
    enveloped = tagged.content
    assert sequence(sequence(), integer(0)) in enveloped
    rand = decrypted_by_number(enveloped, key)
    (outer,) = der.split(rand)
    number, sender = der.split(outer.content)
    assert sender.whole == challenged.header.sender
    assert decoder.decode(sender.whole, asn1Spec=rfc2459.GeneralName())[1] == b""
    assert hashlib.sha256(number.whole).digest() == challenge["witness"].asOctets()
    assert int.from_bytes(number.content, signed=True).bit_length() > 128
    return number.whole


def decrypted_by_number(enveloped: bytes, key: Any) -> bytes:
    """Open an envelope whose recipient has no certificate: put one's name in its place."""
    party = holder_of(key)
    numbered = sequence(sequence(), integer(0))
    named = sequence(
        party.certificate.issuer.public_bytes(), integer(party.certificate.serial_number)
    )
    return decrypted(_replaced(enveloped, numbered, named), key)


def _replaced(element: bytes, old: bytes, new: bytes) -> bytes:
    """Put an element in the place of another, however deep, and mend the lengths."""
    (found,) = der.split(element)
    if found.whole == old:
        return new
    if not found.tag & 0x20:
        return found.whole
    return der.encode(
        found.tag, *(_replaced(each.whole, old, new) for each in der.split(found.content))
    )
