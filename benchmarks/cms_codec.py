"""What CMS costs SCEP beside the RSA that nobody can do without (goal G5).

Run: python -m benchmarks.cms_codec [rounds]
"""

import sys
from collections.abc import Callable
from random import Random

from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ObjectIdentifier

from benchmarks.measure import write_best
from protocols import der
from protocols.cms import certs_only
from protocols.cms.ber import to_der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA
from protocols.cms.enveloped_data import encode_enveloped_data, open_enveloped_data
from protocols.cms.private_keys import TransportKey
from protocols.cms.recipients import KeyTransport
from protocols.cms.signed_data import Attribute, decode_signed_data, encode_signed_data, verify
from tests.support.cms import a_party, in_ber
from tests.support.csr import a_csr

REPETITIONS = 20
MESSAGE = bytes(200)
CODE = "AAAA-BBBB-CCCC-DDDD-EEEE"


def main(rounds: int = 100) -> None:
    """Print the best of several rounds, interleaved so that all meet the same noise."""
    write_best("cms_codec", dict(_tasks()), rounds, REPETITIONS)


def _tasks() -> list[tuple[str, Callable[[], object]]]:
    client, authority = a_party("rsa-2048", "pump-1"), a_party("rsa-2048", "RA", number=1)
    key, private_key = authority.key, client.key
    if not isinstance(key, rsa.RSAPrivateKey) or not isinstance(private_key, rsa.RSAPrivateKey):
        raise TypeError("the parties to SCEP have keys of RSA")
    random = Random(1)  # noqa: S311 - any BER will do
    ours, ciphers = TransportKey.holding(authority.certificate, key), ContentEncryption
    request = a_csr(private_key, challenge_password=CODE)
    envelope = encode_enveloped_data(
        request,
        recipient=KeyTransport(certificate=authority.certificate),
        content_encryption=ciphers.AES_128_CBC,
    )
    attributes = _attributes()
    message = encode_signed_data(
        DATA,
        envelope,
        signer=client.signer(),
        signed_attributes=attributes[:3],
        certificates=(client.der,),
    )
    read = decode_signed_data(message)
    signer = authority.signer()
    answer = certs_only.encode((client.der,))
    recipient = KeyTransport(certificate=client.certificate)

    def close(content: bytes = answer) -> bytes:
        return encode_enveloped_data(
            content, recipient=recipient, content_encryption=ciphers.AES_128_CBC
        )

    sealed = close()

    def sign() -> bytes:
        return encode_signed_data(DATA, sealed, signer=signer, signed_attributes=attributes)

    def all_of_it() -> bytes:
        received = decode_signed_data(message)
        verify(received)
        open_enveloped_data(received.content or b"", keys=(ours,))
        return encode_signed_data(
            DATA,
            close(certs_only.encode((client.der,))),
            signer=signer,
            signed_attributes=attributes,
        )

    return [
        *_yards(key),
        (f"DER looked through, {len(message)} octets", lambda: to_der(message)),
        ("BER made DER, the same message", _bound(to_der, in_ber(message, random))),
        ("SignedData decoded", lambda: decode_signed_data(message)),
        ("SignedData verified, one RSA verification in it", lambda: verify(read)),
        ("EnvelopedData opened, one RSA decryption in it",
         lambda: open_enveloped_data(envelope, keys=(ours,))),
        ("EnvelopedData closed, one RSA encryption in it", close),
        ("SignedData encoded, one RSA signature in it", sign),
        ("all of it: a request read, its answer written", all_of_it),
        ("asn1crypto: the same SignedData read", _bound(_by_asn1crypto, message)),
        ("cryptography: the same envelope opened",
         lambda: pkcs7.pkcs7_decrypt_der(envelope, authority.certificate, key, [])),
        ("cryptography: the same envelope closed",
         lambda: pkcs7.PKCS7EnvelopeBuilder()
         .set_data(answer)
         .add_recipient(client.certificate)
         .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])),
    ]  # fmt: skip


def _yards(key: rsa.RSAPrivateKey) -> list[tuple[str, Callable[[], object]]]:
    point, ecdsa = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    public_key, form, digest = key.public_key(), padding.PKCS1v15(), hashes.SHA256()
    signature, encrypted = key.sign(MESSAGE, form, digest), public_key.encrypt(bytes(16), form)
    return [
        ("yard: P-256 sign and verify",
         lambda: point.public_key().verify(point.sign(MESSAGE, ecdsa), MESSAGE, ecdsa)),
        ("RSA-2048 alone: sign", lambda: key.sign(MESSAGE, form, digest)),
        ("RSA-2048 alone: verify", lambda: public_key.verify(signature, MESSAGE, form, digest)),
        ("RSA-2048 alone: decrypt", lambda: key.decrypt(encrypted, form)),
        ("RSA-2048 alone: encrypt", lambda: public_key.encrypt(bytes(16), form)),
    ]  # fmt: skip


def _attributes() -> tuple[Attribute, ...]:
    """Make what a CertRep has: transactionID, messageType and the nonces first."""
    printable, octets = 0x13, der.OCTET_STRING
    return tuple(
        Attribute(type=ObjectIdentifier(f"2.16.840.1.113733.1.9.{last}"), values=(value,))
        for last, value in (
            (7, der.encode(printable, b"0123456789abcdef0123456789abcdef01234567")),
            (2, der.encode(printable, b"3")),
            (5, der.encode(octets, bytes(16))),
            (6, der.encode(octets, bytes(16))),
            (3, der.encode(printable, b"0")),
        )
    )


def _by_asn1crypto(message: bytes) -> dict[str, bytes]:
    (signer,) = cms.ContentInfo.load(message)["content"]["signer_infos"]
    return {each["type"].dotted: each["values"].dump() for each in signer["signed_attrs"]}


def _bound(function: Callable[[bytes], object], octets: bytes) -> Callable[[], object]:
    return lambda: function(octets)


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:2]))
