"""Reading the controls of a PKIData: what is known is read strictly, what is not is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from enroll.failures import EnrollmentError
from protocols import der
from protocols.cmc.faults import CMCFault, bad_request
from protocols.cmc.messages import Control, ControlType, Heard, PKIData
from protocols.cmc.proofs import Witness

_UTF8_STRING = 0x0C
_IDENTIFICATION_OCTETS = 255
_NONCE_OCTETS = 1_024
_TRANSACTION_ID_OCTETS = 64
# What is heard, and given back as it was sent.
_HEARD: Mapping[ControlType, int] = {
    ControlType.TRANSACTION_ID: der.INTEGER,
    ControlType.SENDER_NONCE: der.OCTET_STRING,
    ControlType.RECIPIENT_NONCE: der.OCTET_STRING,
    ControlType.DATA_RETURN: der.OCTET_STRING,
}
_KNOWN = {
    each.oid: each
    for each in (
        *_HEARD,
        ControlType.IDENTIFICATION,
        ControlType.IDENTITY_PROOF,
        ControlType.IDENTITY_PROOF_V2,
        ControlType.POP_LINK_RANDOM,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What the controls say of who asks; `proof_number` is the identity proof's body part."""

    identification: str | None = None
    identity_proof: Witness | None = None
    proof_number: int | None = None
    pop_link_random: bytes | None = None


def hear(data: PKIData) -> Heard:
    """Give what an answer has to give back, as far as it is there and in form."""
    found: dict[ControlType, bytes] = {}
    for control in data.controls:
        kind = _KNOWN.get(control.kind)
        if kind is None or kind not in _HEARD or len(control.values) != 1:
            continue
        if _is_fit(kind, control.values[0]):
            found.setdefault(kind, control.values[0].whole)
    return Heard(
        transaction_id=found.get(ControlType.TRANSACTION_ID),
        sender_nonce=found.get(ControlType.SENDER_NONCE),
        data_return=found.get(ControlType.DATA_RETURN),
    )


def read_controls(data: PKIData) -> Controls:
    """Read every control, and refuse what is not known (RFC 5272 §3.2.1.1). Raises CMCFault."""
    unknown = [each.number for each in data.controls if each.kind not in _KNOWN]
    if unknown:
        raise bad_request(
            "a control is not supported here",
            *unknown,
            finding="control_unsupported",
        )
    controls = _by_type(data.controls)
    for kind, control in controls.items():
        if kind in _HEARD and not _is_fit(kind, control.values[0]):
            raise bad_request(f"the control {kind.name} is not in form", control.number)
    proof = controls.get(ControlType.IDENTITY_PROOF_V2) or controls.get(ControlType.IDENTITY_PROOF)
    identification = controls.get(ControlType.IDENTIFICATION)
    random = controls.get(ControlType.POP_LINK_RANDOM)
    return Controls(
        identification=_text(identification) if identification is not None else None,
        identity_proof=_witness(controls, proof) if proof is not None else None,
        proof_number=proof.number if proof is not None else None,
        pop_link_random=_octets(random) if random is not None else None,
    )


def _by_type(controls: Iterable[Control]) -> dict[ControlType, Control]:
    found: dict[ControlType, Control] = {}
    for control in controls:
        kind = _KNOWN[control.kind]
        if len(control.values) != 1:
            raise bad_request(f"the control {kind.name} has not one value", control.number)
        if kind in found:
            raise bad_request(
                f"the control {kind.name} is there twice", found[kind].number, control.number
            )
        found[kind] = control
    return found


def _witness(controls: Mapping[ControlType, Control], proof: Control) -> Witness:
    """Read the proof of identity. Of two, one would go unverified."""
    first = controls.get(ControlType.IDENTITY_PROOF)
    second = controls.get(ControlType.IDENTITY_PROOF_V2)
    if first is not None and second is not None:
        raise bad_request("there are two proofs of identity", first.number, second.number)
    try:
        if second is not None:
            return Witness.of_version_2(proof.values[0])
        return Witness.of_version_1(proof.values[0])
    except EnrollmentError as error:
        raise CMCFault.about((proof.number,), error) from error


def _text(control: Control) -> str:
    (value,) = control.values
    if value.tag == _UTF8_STRING and 0 < len(value.content) <= _IDENTIFICATION_OCTETS:
        try:
            text = value.content.decode()
        except UnicodeDecodeError:
            text = ""
        if text.isprintable() and text:
            return text
    raise bad_request("the identification is no short text", control.number)


def _octets(control: Control) -> bytes:
    (value,) = control.values
    if value.tag != der.OCTET_STRING or not 0 < len(value.content) <= _NONCE_OCTETS:
        raise bad_request("the POP link random is no OCTET STRING of fit length", control.number)
    return value.content


def _is_fit(kind: ControlType, value: der.Element) -> bool:
    if value.tag != _HEARD[kind]:
        return False
    if kind is ControlType.TRANSACTION_ID:
        return len(value.content) <= _TRANSACTION_ID_OCTETS
    return kind is ControlType.DATA_RETURN or len(value.content) <= _NONCE_OCTETS
