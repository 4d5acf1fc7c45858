"""Keys made for clients of CMP: asked for, and taken out of the answer by others' code."""

from dataclasses import replace
from typing import Any

from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc5958, rfc9810

from enroll.options import ESTOptions, GeneratedKeyAlgorithm, ServerKeyGeneration
from enroll.profiles import KeyUsageBit, PolicySnapshot
from protocols import der
from protocols.cmp.messages import BodyType
from tests.support.builders import (
    PolicyPart,
    a_certificate_profile,
    a_policy,
    an_enrollment_profile,
)
from tests.support.cmp import integer
from tests.support.cmp_conversation import Answered, Client, by_secret
from tests.support.csr import Key, a_name, sequence, tlv
from tests.support.enrollment import Site
from tests.support.openssl import openssl

NO_BITS = bytes.fromhex("030100")
RSA = sequence(bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("0500"))
USAGES = frozenset(
    {KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.KEY_AGREEMENT}
)


def key_policy(
    *parts: PolicyPart,
    made: tuple[GeneratedKeyAlgorithm, ...] = (GeneratedKeyAlgorithm.P_256,),
    key_usage: frozenset[KeyUsageBit] = USAGES,
    **changes: Any,
) -> PolicySnapshot:
    """Give a policy whose profiles make keys, for certificates with these usages."""
    est = ESTOptions(
        server_key_generation=ServerKeyGeneration.ALLOWED, key_generation_algorithms=made
    )
    return a_policy(
        *(an_enrollment_profile(each, est=est, **changes) for each in ("bootstrap", "operational")),
        *(
            a_certificate_profile(each, key_usage=key_usage, requestable_key_usage=USAGES)
            for each in ("bootstrap", "operational")
        ),
        *parts,
    )


def keyless(
    name: str = "pump-1",
    *,
    algorithm: bytes | None = None,
    bits: bytes = NO_BITS,
    proof: bytes = b"",
) -> bytes:
    """Make CertReqMessages that ask for a key: of a sort, where an algorithm is given."""
    key = tlv(0xA6, algorithm + bits) if algorithm is not None else b""
    template = sequence(tlv(0xA5, a_name(name).public_bytes()), key)
    return sequence(sequence(sequence(integer(0), template), proof))


async def a_client(site: Site, name: str = "pump-1", profile: str | None = None) -> Client:
    """Register a device, and make a client that knows its code."""
    await site.register(name)
    return that_reads_keys(by_secret(site, name, await site.code(name), profile))


def that_reads_keys(client: Client) -> Client:
    """Let a client speak of keys: in pvno 3, and with the ASN.1 of RFC 9810."""
    client.header = replace(client.header, pvno=3)
    client.form = rfc9810
    return client


async def ask_for_key(
    client: Client, kind: BodyType = BodyType.IR, content: bytes | None = None, **changes: object
) -> Answered:
    client.heard = None
    client.heard = await client.send(kind, content or keyless(), **changes)
    return client.heard


def has_key(answer: Answered) -> bool:
    return bool(answer.body["response"][0]["certifiedKeyPair"]["privateKey"].isValue)


def envelope_of(answer: Answered) -> bytes:
    """Give the EnvelopedData in a ContentInfo, read by asn1crypto."""
    pair = answer.body["response"][0]["certifiedKeyPair"]
    assert pair["privateKey"].getName() == "envelopedData"
    (explicit,) = der.split(encoder.encode(pair["privateKey"]))
    (implicit,) = der.split(explicit.content)
    assert (explicit.tag, implicit.tag) == (0xA0, 0xA0)
    enveloped = cms.EnvelopedData.load(sequence(implicit.content), strict=True)
    wrapped = cms.ContentInfo({"content_type": "enveloped_data", "content": enveloped})
    return bytes(wrapped.dump(force=True))


def key_in(signed: bytes) -> tuple[bytes, bytes]:
    """Give the OneAsymmetricKey in a SignedData, and the first certificate beside it."""
    signed_data = cms.SignedData.load(signed, strict=True)
    assert signed_data["version"].native == "v3"
    (signer,) = signed_data["signer_infos"]
    assert (signer["version"].native, signer["sid"].name) == ("v3", "subject_key_identifier")
    content = signed_data["encap_content_info"]
    assert content["content_type"].dotted == "2.16.840.1.101.2.1.2.78.5"
    package, rest = decoder.decode(
        content["content"].contents, asn1Spec=rfc5958.AsymmetricKeyPackage()
    )
    assert not rest
    assert len(package) == 1
    assert int(package[0]["version"]) == 1
    assert package[0]["publicKey"].isValue
    return bytes(encoder.encode(package[0])), bytes(signed_data["certificates"][0].dump())


def public_key_in(one_asymmetric_key: bytes) -> bytes:
    """Give the public key of the private one, PEM, by openssl: of version 1, which it knows."""
    found, _ = decoder.decode(one_asymmetric_key, asn1Spec=rfc5958.OneAsymmetricKey())
    first = sequence(
        integer(0),
        bytes(encoder.encode(found["privateKeyAlgorithm"])),
        bytes(encoder.encode(found["privateKey"])),
    )
    return openssl("pkey", "-inform", "DER", "-pubout", given=first)


def pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_in(answer: Answered) -> x509.Certificate:
    return x509.load_der_x509_certificate(answer.certificate)
