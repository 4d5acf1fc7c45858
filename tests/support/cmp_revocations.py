"""Requests to revoke in CMP, as tests word them, and what their answers say."""

from dataclasses import dataclass, replace

from cryptography import x509

from protocols.cmp.messages import BodyType
from tests.support.cmp_conversation import FAIL_INFO, Answered, Client, by_held
from tests.support.csr import sequence, tlv
from tests.support.enrollment import Held, Site

REASON_CODE = bytes.fromhex("0603551d15")
HOLD, REMOVE_FROM_CRL = 6, 8
DONE: tuple[int, frozenset[int]] = (0, frozenset())


def details(
    certificate: x509.Certificate | None,
    *reasons: int | bytes,
    more: bytes = b"",
    serial_number: int | None = None,
) -> bytes:
    """Word one RevDetails; `more` are further fields of its template, after the issuer."""
    named = b""
    if certificate is not None:
        number = certificate.serial_number if serial_number is None else serial_number
        octets = number.to_bytes(number.bit_length() // 8 + 1)
        issuer = certificate.issuer.public_bytes()
        named = tlv(0x81, octets) + tlv(0xA3, issuer)
    extensions = [sequence(REASON_CODE, tlv(0x04, _enumerated(each))) for each in reasons]
    return sequence(sequence(named, more), sequence(*extensions) if extensions else b"")


def refused(fail_info: str) -> tuple[int, frozenset[int]]:
    return 2, frozenset({FAIL_INFO[fail_info]})


def statuses(answer: Answered) -> list[tuple[int, frozenset[int]]]:
    """Give status and failInfo of each certificate in an rp."""
    assert answer.kind is BodyType.RP, (answer.kind, answer.fail_info)
    return [(int(each["status"]), _bits(each["failInfo"])) for each in answer.body["status"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who signs with a certificate; each request is an exchange of its own."""

    site: Site
    held: Held
    profile: str | None = None

    def client(self) -> Client:
        client = by_held(self.site, self.held, self.profile)
        client.header = replace(client.header, message_time=self.site.clock.now())
        return client

    async def ask(self, *content: bytes, **changes: object) -> Answered:
        return await self.client().send(BodyType.RR, sequence(*content), **changes)

    async def stop(self, target: Held, *reasons: int | bytes) -> Answered:
        return await self.ask(details(target.certificate, *reasons))


def _enumerated(reason: int | bytes) -> bytes:
    return reason if isinstance(reason, bytes) else tlv(0x0A, bytes([reason]))


def _bits(fail_info: object) -> frozenset[int]:
    if not fail_info.isValue:  # type: ignore[attr-defined]  # pyasn1's
        return frozenset()
    return frozenset(number for number, bit in enumerate(fail_info) if bit)  # type: ignore[arg-type, var-annotated]  # pyasn1's
