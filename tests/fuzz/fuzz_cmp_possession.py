"""Any octets as a proof of possession, or as the answer to a challenge, are taken or refused."""

from protocols.cmp.messages import BodyType
from tests.fuzz.fuzz_cmp_exchange import exchange, signer
from tests.support.cmp import by_signature, integer
from tests.support.csr import a_key, a_name, sequence, spki_of, tlv


def fuzz_cmp_possession(data: bytes) -> None:
    """Take the octets as the popo of a request, and as the body of a popdecr."""
    request = sequence(sequence(_A_REQUEST, data))
    exchange(by_signature(BodyType.CR, request, signer=signer(), pvno=3))
    exchange(by_signature(BodyType.POPDECR, data, signer=signer(), pvno=3))


_A_REQUEST = sequence(
    integer(0),
    sequence(tlv(0xA5, a_name().public_bytes()), bytes([0xA6]) + spki_of(a_key("p-256"))[1:]),
)
