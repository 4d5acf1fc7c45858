"""Any octets may be sealed in a message of SCEP that is otherwise good, of any type."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolViolation
from tests.support.scep import (
    FixedServices,
    Message,
    a_lasting_ra,
    a_lasting_signer,
    a_scep_wire,
)

_KINDS = (19, 17, 20, 21, 22)
_HANDLER = SCEPHandler(FixedServices(authorities=(a_lasting_ra(),)))


def fuzz_scep_sealed(data: bytes) -> None:
    kind = _KINDS[len(data) % len(_KINDS)]
    message = Message(signer=a_lasting_signer(), content=data, kind=kind, ra=a_lasting_ra())
    with suppress(EnrollmentError, ProtocolViolation):
        _HANDLER.receive(a_scep_wire(body=message.encode()))
