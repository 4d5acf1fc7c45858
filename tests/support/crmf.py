"""CRMF requests for tests, built by pyasn1-modules: an encoder that is not ours."""

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import tag, univ
from pyasn1_modules import rfc2459, rfc4211

from tests.support.csr import ECDSA_SHA256, ED25519, RSA_SHA256, Key, a_key, a_name, spki_of

ED448 = bytes.fromhex("300506032b6571")


def a_crm(
    key: Key | None = None,
    *,
    number: int = 1,
    subject: x509.Name | None = None,
    names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    controls: Sequence[tuple[str, bytes]] = (),
    signer: Key | None = None,
) -> bytes:
    """Make a good CertReqMsg with a signature over its certReq; `signer` makes a false one."""
    key = key or a_key()
    request = a_cert_request(
        key, number=number, subject=subject, names=names, extensions=extensions, controls=controls
    )
    return a_message(request, signature_over(encoder.encode(request), signer or key))


def a_cert_request(
    key: Key | None,
    *,
    number: int = 1,
    subject: x509.Name | None = None,
    names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    controls: Sequence[tuple[str, bytes]] = (),
    without_subject: bool = False,
) -> Any:
    request = rfc4211.CertRequest()
    request["certReqId"] = number
    template = request["certTemplate"]
    if not without_subject:
        _put(template, "subject", (subject or a_name()).public_bytes(), rfc2459.Name())
    if key is not None:
        _put(template, "publicKey", spki_of(key), rfc2459.SubjectPublicKeyInfo())
    wanted = [*extensions, *([x509.SubjectAlternativeName(names)] if names else [])]
    if wanted:
        _put(template, "extensions", _extensions(wanted), rfc2459.Extensions())
    for kind, value in controls:
        control = rfc4211.AttributeTypeAndValue()
        control["type"] = univ.ObjectIdentifier(kind)
        control["value"] = univ.Any(value)
        request["controls"].append(control)
    return request


def a_message(request: Any, proof: Any | None) -> bytes:
    message = rfc4211.CertReqMsg()
    message["certReq"] = request
    if proof is not None:
        message["popo"]["signature"] = proof
    return bytes(encoder.encode(message))


def a_private_key_message(
    request: Any, purpose: str, method: str = "subsequentMessage", content: object = "encrCert"
) -> bytes:
    """Make a CertReqMsg whose proof is a POPOPrivKey; `purpose` names the choice that holds it."""
    message = rfc4211.CertReqMsg()
    message["certReq"] = request
    message["popo"][purpose][method] = content
    return bytes(encoder.encode(message))


def vouched(request: Any) -> bytes:
    """Make a CertReqMsg whose proof is raVerified."""
    message = rfc4211.CertReqMsg()
    message["certReq"] = request
    message["popo"]["raVerified"] = ""
    return bytes(encoder.encode(message))


def signature_over(octets: bytes, key: Key, key_input: Any | None = None) -> Any:
    """Make a POPOSigningKey."""
    proof = rfc4211.POPOSigningKey().subtype(
        implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 1)
    )
    if key_input is not None:
        proof["poposkInput"]["authInfo"] = key_input["authInfo"]
        proof["poposkInput"]["publicKey"] = key_input["publicKey"]
    algorithm, signature = sign(octets, key)
    proof["algorithmIdentifier"] = _decoded(algorithm, rfc2459.AlgorithmIdentifier())
    proof["signature"] = univ.BitString.fromOctetString(signature)
    return proof


def a_key_input(key: Key, sender: x509.Name) -> Any:
    """Make a POPOSigningKeyInput that names its sender."""
    key_input = rfc4211.POPOSigningKeyInput()
    general_name = key_input["authInfo"]["sender"]
    general_name["directoryName"][0] = _decoded(sender.public_bytes(), rfc2459.Name())[0]
    key_input["publicKey"] = _decoded(spki_of(key), rfc2459.SubjectPublicKeyInfo())
    return key_input


def sign(octets: bytes, key: Key) -> tuple[bytes, bytes]:
    """Sign as each kind of key does usually; give the AlgorithmIdentifier too."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECDSA_SHA256, key.sign(octets, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return RSA_SHA256, key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ED25519, key.sign(octets)
    assert isinstance(key, ed448.Ed448PrivateKey)
    return ED448, key.sign(octets)


def _extensions(wanted: Sequence[x509.ExtensionType]) -> bytes:
    found = rfc2459.Extensions()
    for each in wanted:
        extension = rfc2459.Extension()
        extension["extnID"] = each.oid.dotted_string
        extension["critical"] = False
        extension["extnValue"] = each.public_bytes()
        found.append(extension)
    return bytes(encoder.encode(found))


def _put(template: Any, field: str, der: bytes, kind: Any) -> None:
    """Set a tagged field from the DER of its untagged type."""
    found = _decoded(der, kind)
    if field == "subject":
        template[field][0] = found[0]
        return
    place = template[field]
    if isinstance(found, univ.SequenceOf):
        for each in found:
            place.append(each)
    else:
        for name in found:
            place[name] = found[name]


def _decoded(der: bytes, kind: Any) -> Any:
    found, rest = decoder.decode(der, asn1Spec=kind)
    assert not rest
    return found
