"""What RFC 9810 added to the bodies of RFC 4210, for pyasn1-modules, which knows the latter only."""

from typing import Any

from pyasn1.codec.der import decoder, encoder
from pyasn1.type import namedtype, tag, univ
from pyasn1_modules import rfc2459, rfc3852, rfc4210, rfc4211


def _explicit(number: int) -> tag.Tag:
    return tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)


class CertOrEncCert(univ.Choice):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.3.4, with EncryptedKey in place of EncryptedValue."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.NamedType(
            "certificate", rfc4210.CMPCertificate().subtype(explicitTag=_explicit(0))
        ),
        namedtype.NamedType(
            "encryptedCert", rfc4211.EncryptedKey().subtype(explicitTag=_explicit(1))
        ),
    )


class CertifiedKeyPair(univ.Sequence):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.3.4."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.NamedType("certOrEncCert", CertOrEncCert()),
        namedtype.OptionalNamedType(
            "privateKey", rfc4211.EncryptedKey().subtype(explicitTag=_explicit(0))
        ),
        namedtype.OptionalNamedType(
            "publicationInfo", rfc4211.PKIPublicationInfo().subtype(explicitTag=_explicit(1))
        ),
    )


class CertResponse(univ.Sequence):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.3.4."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.NamedType("certReqId", univ.Integer()),
        namedtype.NamedType("status", rfc4210.PKIStatusInfo()),
        namedtype.OptionalNamedType("certifiedKeyPair", CertifiedKeyPair()),
        namedtype.OptionalNamedType("rspInfo", univ.OctetString()),
    )


class CertRepMessage(univ.Sequence):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.3.4."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.OptionalNamedType(
            "caPubs",
            univ.SequenceOf(componentType=rfc4210.CMPCertificate()).subtype(
                explicitTag=_explicit(1)
            ),
        ),
        namedtype.NamedType("response", univ.SequenceOf(componentType=CertResponse())),
    )


class Challenge(univ.Sequence):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.2.8.3.3."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        namedtype.OptionalNamedType("owf", rfc2459.AlgorithmIdentifier()),
        namedtype.NamedType("witness", univ.OctetString()),
        namedtype.NamedType("challenge", univ.OctetString()),
        namedtype.OptionalNamedType(
            "encryptedRand", rfc3852.EnvelopedData().subtype(explicitTag=_explicit(0))
        ),
    )


class POPODecKeyChallContent(univ.SequenceOf):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.2.8.3.3."""

    componentType = Challenge()  # noqa: N815 - pyasn1's name


_NEW = {"ip": CertRepMessage, "cp": CertRepMessage, "kup": CertRepMessage}
_NEW["popdecc"] = POPODecKeyChallContent


class PKIBody(univ.Choice):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.1.2: the bodies of RFC 4210, but for those above."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        *[
            namedtype.NamedType(
                each.name, _NEW[each.name]().subtype(explicitTag=_explicit(number))
            )
            if each.name in _NEW
            else each
            for number, each in enumerate(rfc4210.PKIBody.componentType.namedTypes)
        ]
    )


class PKIMessage(univ.Sequence):  # type: ignore[misc] # pyasn1 has no types
    """RFC 9810 §5.1."""

    componentType = namedtype.NamedTypes(  # noqa: N815 - pyasn1's name
        *[
            namedtype.NamedType("body", PKIBody()) if each.name == "body" else each
            for each in rfc4210.PKIMessage.componentType.namedTypes
        ]
    )


def check_form(message: bytes) -> Any:
    """Let pyasn1 read a message of RFC 9810, which must be DER that it writes in the same octets."""
    found, rest = decoder.decode(message, asn1Spec=PKIMessage())
    assert not rest
    assert encoder.encode(found) == message
    return found
