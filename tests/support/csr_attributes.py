"""CsrAttrs read by pyasn1 with the modules of RFC 7030 and RFC 9908: what a client is told."""

from dataclasses import dataclass, field
from typing import Any

from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1.type import namedtype, tag, univ
from pyasn1_modules import rfc5280, rfc7030

EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
TEMPLATE = "1.2.840.113549.1.9.16.2.61"
EXTENSION_REQUEST_TEMPLATE = "1.2.840.113549.1.9.16.2.62"
KEY_TYPES = {"1.2.840.10045.2.1", "1.2.840.113549.1.1.1"}


def _tagged(kind: Any, number: int) -> Any:
    return kind.subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number))


SINGLE_ATTRIBUTE_TEMPLATE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("type", univ.ObjectIdentifier()),
        namedtype.OptionalNamedType("value", univ.Any()),
    )
)
NAME_TEMPLATE = univ.SequenceOf(componentType=univ.SetOf(componentType=SINGLE_ATTRIBUTE_TEMPLATE))
KEY_TEMPLATE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("algorithm", rfc5280.AlgorithmIdentifier()),
        namedtype.OptionalNamedType("subjectPublicKey", univ.BitString()),
    )
)
EXTENSION_TEMPLATE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("extnID", univ.ObjectIdentifier()),
        namedtype.DefaultedNamedType("critical", univ.Boolean(value=False)),
        namedtype.OptionalNamedType("extnValue", univ.OctetString()),
    )
)
EXTENSION_REQ_TEMPLATE = univ.SequenceOf(componentType=EXTENSION_TEMPLATE)
CERTIFICATION_REQUEST_INFO_TEMPLATE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("version", univ.Integer()),
        namedtype.OptionalNamedType("subject", NAME_TEMPLATE),
        namedtype.OptionalNamedType("subjectPKInfo", _tagged(KEY_TEMPLATE, 0)),
        namedtype.NamedType(
            "attributes", _tagged(univ.SetOf(componentType=rfc5280.Attribute()), 1)
        ),
    )
)


@dataclass(slots=True, kw_only=True)
class Told:
    """What one style says. Extensions are values by their OID; `key` is type and parameters."""

    oids: list[str] = field(default_factory=list)
    key: tuple[str, str] | None = None
    extensions: dict[str, tuple[bool, bytes]] = field(default_factory=dict)
    request: str | None = None
    subject: list[tuple[str, bytes | None]] | None = None
    key_bits: int | None = None


def read(der: bytes) -> tuple[Told, Told | None]:
    """Read both styles, each strictly: DER, one value where one belongs, no second of a kind."""
    attributes = strictly(der, rfc7030.CsrAttrs())
    told, template = Told(), None
    for each in attributes:
        if each.getName() == "oid":
            told.oids.append(str(each["oid"]))
            continue
        kind, values = str(each["attribute"]["attrType"]), each["attribute"]["attrValues"]
        assert len(values) == 1, "an attribute has one value"
        value = bytes(values[0])
        if kind == TEMPLATE:
            assert template is None
            template = _read_template(value)
        elif kind == EXTENSION_REQUEST:
            assert told.request is None
            told.request = kind
            told.extensions = _extensions(strictly(value, rfc5280.Extensions()))
        else:
            assert kind in KEY_TYPES
            assert told.key is None
            told.key = kind, str(decode(value)[0])
    return told, template


def strictly(der: bytes, spec: Any) -> Any:
    """Read what has to be DER, whole."""
    found, rest = decode(der, asn1Spec=spec)
    assert not rest
    assert encode(found) == der
    return found


def _read_template(der: bytes) -> Told:
    found = strictly(der, CERTIFICATION_REQUEST_INFO_TEMPLATE)
    told = Told()
    assert int(found["version"]) == 0
    if found["subject"].isValue:
        told.subject = [
            (str(each["type"]), bytes(each["value"]) if each["value"].isValue else None)
            for rdn in found["subject"]
            for each in rdn
        ]
    if found["subjectPKInfo"].isValue:
        algorithm = found["subjectPKInfo"]["algorithm"]
        parameters = algorithm["parameters"]
        words = str(decode(bytes(parameters))[0]) if parameters.isValue else "absent"
        told.key = str(algorithm["algorithm"]), words
        bits = found["subjectPKInfo"]["subjectPublicKey"]
        if bits.isValue:
            numbers = decode(bits.asOctets())[0]
            told.key_bits = int(numbers[0]).bit_length()
    for attribute in found["attributes"]:
        assert told.request is None
        told.request = str(attribute["type"])
        assert told.request in {EXTENSION_REQUEST, EXTENSION_REQUEST_TEMPLATE}
        (value,) = attribute["values"]
        whole = told.request == EXTENSION_REQUEST
        spec = rfc5280.Extensions() if whole else EXTENSION_REQ_TEMPLATE
        told.extensions = _extensions(strictly(bytes(value), spec))
    return told


def _extensions(found: Any) -> dict[str, tuple[bool, bytes]]:
    read_: dict[str, tuple[bool, bytes]] = {}
    for each in found:
        kind = str(each["extnID"])
        assert kind not in read_, "an extension is there twice"
        read_[kind] = bool(each["critical"]), bytes(each["extnValue"])
    return read_
