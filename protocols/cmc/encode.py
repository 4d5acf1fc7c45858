"""Writing a PKIResponse (RFC 5272 §4.2.1): a status, and what the request gave to be given back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from protocols import der
from protocols.cmc.messages import WHOLE_MESSAGE, ControlType, FailInfo, Heard, Status

_UTF8_STRING = 0x0C
_GENERALIZED_TIME = 0x18
_NOTHING = der.encode(der.SEQUENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendInfo:
    """RFC 5272 §6.1.1 PendInfo: what to ask with, and when."""

    token: bytes
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """RFC 5272 §6.1.1 CMCStatusInfoV2, of the body parts that it is about."""

    status: Status
    body_parts: tuple[int, ...] = (WHOLE_MESSAGE,)
    words: str | None = None
    info: FailInfo | PendInfo | None = None


def encode_pki_response(outcome: Outcome, heard: Heard, sender_nonce: bytes) -> bytes:
    """Write the response; `sender_nonce` is sent where the request had one (RFC 5272 §6.6)."""
    controls = [(ControlType.STATUS_INFO_V2, _status(outcome))]
    if heard.transaction_id is not None:
        controls.append((ControlType.TRANSACTION_ID, heard.transaction_id))
    if heard.sender_nonce is not None:
        controls.append((ControlType.SENDER_NONCE, der.encode(der.OCTET_STRING, sender_nonce)))
        controls.append((ControlType.RECIPIENT_NONCE, heard.sender_nonce))
    if heard.data_return is not None:
        controls.append((ControlType.DATA_RETURN, heard.data_return))
    return der.encode(der.SEQUENCE, _controls(controls), _NOTHING, _NOTHING)


def encode_integer(value: int) -> bytes:
    """Write an INTEGER, which is not negative."""
    return der.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _controls(controls: Iterable[tuple[ControlType, bytes]]) -> bytes:
    return der.encode(
        der.SEQUENCE,
        *[
            der.encode(der.SEQUENCE, encode_integer(number), kind.oid, der.encode(der.SET, value))
            for number, (kind, value) in enumerate(controls, start=1)
        ],
    )


def _status(outcome: Outcome) -> bytes:
    parts = [
        encode_integer(outcome.status),
        der.encode(der.SEQUENCE, *[encode_integer(each) for each in outcome.body_parts]),
    ]
    if outcome.words is not None:
        parts.append(der.encode(_UTF8_STRING, outcome.words.encode()))
    match outcome.info:
        case FailInfo():
            parts.append(encode_integer(outcome.info))
        case PendInfo(token=token, at=at):
            when = at.strftime("%Y%m%d%H%M%SZ").encode()
            parts.append(
                der.encode(
                    der.SEQUENCE,
                    der.encode(der.OCTET_STRING, token),
                    der.encode(_GENERALIZED_TIME, when),
                )
            )
        case None:
            pass
    return der.encode(der.SEQUENCE, *parts)
