"""Any octets are a query of SCEP or a refusal: what a client puts into a URL."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolViolation
from tests.support.scep import FixedServices, a_lasting_ra, a_scep_wire

_HANDLER = SCEPHandler(FixedServices(authorities=(a_lasting_ra(),)))


def fuzz_scep_query(data: bytes) -> None:
    path, _, query = data.decode("latin-1").partition("?")
    wire = a_scep_wire(path, method="GET", query=query)
    with suppress(EnrollmentError, ProtocolViolation):
        _HANDLER.receive(wire)
    _HANDLER.origin(wire)
