"""The one certification request of a PKIData: which it is, what it wants, and how it is linked."""

from dataclasses import dataclass

from enroll.failures import EnrollmentError
from enroll.request import CertificateRequest
from protocols import der, pkcs10
from protocols.cmc.controls import Controls
from protocols.cmc.faults import CMCFault, bad_request
from protocols.cmc.messages import ControlType, PKIData, Status, TaggedRequest
from protocols.cmc.proofs import SharedSecretProof, Witness, unlinked
from protocols.crmf.messages import CHANGE_SUBJECT_NAME, PUBLICATION_INFO, CertReqMsg
from protocols.crmf.request import to_certificate_request
from protocols.limits import DERLimits, check_der
from protocols.pkcs10_form import take_apart
from protocols.request_attributes import attribute_values, requested_extensions

_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("0603551d0e")
_WITNESSES = (ControlType.POP_LINK_WITNESS.oid, ControlType.POP_LINK_WITNESS_V2.oid)
# Publication is a wish that may be passed over (RFC 4211 §6.3). What else a CRMF control can say
# here stands in a control of CMC, or is not done.
_CRMF_CONTROLS = frozenset({CHANGE_SUBJECT_NAME, PUBLICATION_INFO, *_WITNESSES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certification request, its possession proven, and what it says beside its wishes.

    `key_identifier` is the subject key identifier that it asks for.
    """

    number: int
    request: CertificateRequest
    witness: Witness | None
    key_identifier: bytes | None


def read_wanted(data: PKIData, limits: DERLimits) -> Wanted:
    """Read the one request that there must be. Raises CMCFault."""
    tagged = _only(data)
    try:
        if tagged.pkcs10 is not None:
            return _from_pkcs10(tagged.number, tagged.pkcs10, limits)
        assert tagged.crmf is not None  # noqa: S101 - `_only` lets no other through
        return _from_crmf(tagged.number, tagged.crmf, limits)
    except CMCFault:
        raise
    except EnrollmentError as error:
        raise CMCFault.about((tagged.number,), error) from error


def link(wanted: Wanted, controls: Controls, data: PKIData) -> SharedSecretProof | None:
    """Put together what is proven with a shared secret: identity, and its link to the key.

    A witness is verified or refused, never passed over (RFC 5272 §6.3.1.1). Raises CMCFault.
    """
    identity, witness = controls.identity_proof, wanted.witness
    random = controls.pop_link_random
    linked = witness is not None or random is not None
    if linked and (witness is None or random is None or identity is None):
        error = unlinked("of proof of identity, POP link random and witness one is missing")
        raise CMCFault.about((wanted.number,), error)
    if identity is None:
        return None
    if controls.identification is None:
        numbers = () if controls.proof_number is None else (controls.proof_number,)
        raise bad_request(
            "a proof of identity needs the identification control beside it",
            *numbers,
            finding="identity_unnamed",
        )
    return SharedSecretProof(
        identification=controls.identification,
        identity=identity,
        octets=data.requests_whole,
        link=(witness, random) if witness is not None and random is not None else None,
    )


def _only(data: PKIData) -> TaggedRequest:
    strange = [each.number for each in data.requests if each.pkcs10 is None and each.crmf is None]
    if strange:
        raise bad_request(
            "requests of this sort are not supported",
            *strange,
            finding="request_unsupported",
            status=Status.NO_SUPPORT,
        )
    if len(data.requests) != 1:
        raise bad_request(
            f"there are {len(data.requests)} certification requests where one is wanted",
            *[each.number for each in data.requests],
            finding="not_one_request",
        )
    return data.requests[0]


def _from_pkcs10(number: int, request: bytes, limits: DERLimits) -> Wanted:
    decoded = pkcs10.decode(request, limits)
    values = attribute_values(take_apart(request, limits).attributes)
    first, second = (values.get(each) for each in _WITNESSES)
    for each in (first, second):
        if each is not None and len(each) != 1:
            raise bad_request("a POP link witness has not one value", number)
    return Wanted(
        number=number,
        request=decoded,
        witness=_witness(number, first[0] if first else None, second[0] if second else None),
        key_identifier=_key_identifier(requested_extensions(values), limits),
    )


def _from_crmf(number: int, message: CertReqMsg, limits: DERLimits) -> Wanted:
    """Read a CertReqMsg with the restrictions of RFC 5272 §3.2.1.2.2."""
    if message.has_registration_info:
        raise bad_request("a CRMF request has registration info", number)
    if message.template.subject is None:
        raise bad_request("a CRMF request has no subject", number)
    if not _CRMF_CONTROLS.issuperset(message.controls):
        raise bad_request(
            "a CRMF control is not supported here", number, finding="control_unsupported"
        )
    return Wanted(
        number=number,
        request=to_certificate_request(message, limits),
        witness=_witness(number, *[message.controls.get(each) for each in _WITNESSES]),
        key_identifier=_key_identifier(dict(message.template.extensions or {}), limits),
    )


def _witness(number: int, first: der.Element | None, second: der.Element | None) -> Witness | None:
    if first is not None and second is not None:
        raise bad_request("there are two POP link witnesses", number)
    if second is not None:
        return Witness.of_version_2(second)
    return Witness.of_version_1(first) if first is not None else None


def _key_identifier(extensions: dict[bytes, bytes], limits: DERLimits) -> bytes | None:
    value = extensions.get(_SUBJECT_KEY_IDENTIFIER)
    if value is None:
        return None
    check_der(value, limits)
    (identifier,) = der.split(value)
    return identifier.content if identifier.tag == der.OCTET_STRING else None
