"""Any octets are a message of SCEP or a refusal: what a client posts."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from enroll.options import SCEPOptions
from enroll.result import Rejected
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolViolation
from tests.support.scep import FixedServices, a_lasting_ra, a_scep_wire

_HANDLER = SCEPHandler(
    FixedServices(by_label={None: SCEPOptions(legacy=True)}, authorities=(a_lasting_ra(),))
)


def fuzz_scep_message(data: bytes) -> None:
    wire = a_scep_wire(body=data)
    try:
        with suppress(ProtocolViolation):
            _HANDLER.receive(wire)
    except EnrollmentError as error:
        _HANDLER.origin(wire)
        _HANDLER.refuse(
            wire,
            Rejected(
                reason=error.reason,
                correlation_id=wire.correlation_id,
                detail=error.detail,
                finding=error.finding,
            ),
        )
