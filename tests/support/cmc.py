"""CMC messages for tests: put together octet by octet, checked and read by pyasn1-modules."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyasn1.codec.der import decoder, encoder
from pyasn1.type import char, namedtype, univ
from pyasn1_modules import rfc6402

from tests.support.csr import oid, sequence, tlv

ID_CMC = "2b060105050707"
IDENTIFICATION, IDENTITY_PROOF, DATA_RETURN, TRANSACTION_ID = 2, 3, 4, 5
SENDER_NONCE, RECIPIENT_NONCE, POP_LINK_RANDOM, POP_LINK_WITNESS = 6, 7, 22, 23
STATUS_INFO_V2, POP_LINK_WITNESS_V2, IDENTITY_PROOF_V2 = 25, 33, 34
SHA_256 = sequence(oid("608648016503040201"))
HMAC_SHA_256 = sequence(oid("2a864886f70d0209"))

Control = tuple[int, bytes]
"""The last arc of a control's type, and its value."""


def a_pki_data(*requests: bytes, controls: Sequence[Control] = (), first: int = 100) -> bytes:
    """Make a PKIData that pyasn1-modules takes for one; controls are numbered from `first` on."""
    data = raw_pki_data(requests, [control(n, *c) for n, c in enumerate(controls, start=first)])
    found, rest = decoder.decode(data, asn1Spec=rfc6402.PKIData())
    assert not rest
    assert encoder.encode(found) == data
    return data


def raw_pki_data(
    requests: Sequence[bytes], controls: Sequence[bytes] = (), others: Sequence[bytes] = ()
) -> bytes:
    return sequence(sequence(*controls), sequence(*requests), sequence(), sequence(*others))


def control(number: int, kind: int, *values: bytes) -> bytes:
    return sequence(integer(number), oid(f"{ID_CMC}{kind:02x}"), tlv(0x31, *values))


def tcr(csr: bytes, number: int = 1) -> bytes:
    """Make a TaggedRequest of a PKCS#10 request."""
    return tlv(0xA0, integer(number), csr)


def crm(message: bytes) -> bytes:
    """Make a TaggedRequest of a CertReqMsg, whose own number is the body part's."""
    (outer, content) = _split(message)
    assert outer == 0x30
    return tlv(0xA1, content)


def orm(number: int = 1) -> bytes:
    return tlv(0xA2, integer(number), oid("2a0304"), sequence())


def identification(name: str) -> Control:
    return IDENTIFICATION, tlv(0x0C, name.encode())


def identity_proof_v2(secret: str, name: str, *requests: bytes) -> Control:
    """Prove knowledge of a secret over the requests (RFC 5272 §6.2.1)."""
    key = hashlib.sha256((secret + name).encode()).digest()
    witness = hmac.digest(key, sequence(*requests), "sha256")
    return IDENTITY_PROOF_V2, sequence(SHA_256, HMAC_SHA_256, tlv(0x04, witness))


def identity_proof(secret: str, name: str, *requests: bytes) -> Control:
    """Prove it as RFC 5272 §6.2.2 does, by SHA-1."""
    key = hashlib.sha1((secret + name).encode()).digest()  # noqa: S324 - as the RFC has it
    return IDENTITY_PROOF, tlv(0x04, hmac.digest(key, sequence(*requests), "sha1"))


def witness_v2(secret: str, random: bytes) -> bytes:
    """Make a PopLinkWitnessV2 (RFC 5272 §6.3.1.1)."""
    key = hashlib.sha256(secret.encode()).digest()
    return sequence(SHA_256, HMAC_SHA_256, tlv(0x04, hmac.digest(key, random, "sha256")))


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a PKIResponse says, as pyasn1-modules reads it."""

    status: int
    body_parts: tuple[int, ...]
    words: str | None
    fail_info: int | None
    pending: tuple[bytes, str] | None
    controls: dict[int, bytes]


class OtherInfo(univ.Choice):  # type: ignore[misc]  # pyasn1 has no types
    """As rfc6402 has it, but for extendedFailInfo, whose tag there is pendInfo's."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.NamedType("failInfo", rfc6402.CMCFailInfo()),
        namedtype.NamedType("pendInfo", rfc6402.PendInfo()),
    )


class StatusInfoV2(univ.Sequence):  # type: ignore[misc]  # pyasn1 has no types
    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.NamedType("cMCStatus", rfc6402.CMCStatus()),
        namedtype.NamedType("bodyList", univ.SequenceOf(componentType=rfc6402.BodyPartReference())),
        namedtype.OptionalNamedType("statusString", char.UTF8String()),
        namedtype.OptionalNamedType("otherInfo", OtherInfo()),
    )


def read_response(octets: bytes) -> Answer:
    found, rest = decoder.decode(octets, asn1Spec=rfc6402.PKIResponse())
    assert not rest
    assert encoder.encode(found) == octets
    controls: dict[int, bytes] = {}
    numbers = set()
    for each in found["controlSequence"]:
        numbers.add(int(each["bodyPartID"]))
        (value,) = each["attrValues"]
        controls[int(str(each["attrType"]).rpartition(".")[2])] = bytes(value)
    assert len(numbers) == len(controls)
    status, rest = decoder.decode(controls[STATUS_INFO_V2], asn1Spec=StatusInfoV2())
    assert not rest
    return _answer(status, controls)


def _answer(status: Any, controls: dict[int, bytes]) -> Answer:
    words, info = status["statusString"], status["otherInfo"]
    kind = info.getName() if info.isValue else None
    pending = info["pendInfo"] if kind == "pendInfo" else None
    return Answer(
        status=int(status["cMCStatus"]),
        body_parts=tuple(int(each["bodyPartID"]) for each in status["bodyList"]),
        words=str(words) if words.isValue else None,
        fail_info=int(info["failInfo"]) if kind == "failInfo" else None,
        pending=(bytes(pending["pendToken"]), str(pending["pendTime"]))
        if pending is not None
        else None,
        controls=controls,
    )


def _split(element: bytes) -> tuple[int, bytes]:
    length = element[1]
    start = 2 if length < 0x80 else 2 + (length & 0x7F)
    return element[0], element[start:]
