"""Any octets are an enrollment or a refusal: the body of an EST request."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.est.handler import ESTHandler
from tests.support.wire import FixedLabels, a_wire

_HANDLER = ESTHandler(FixedLabels())


def fuzz_est_body(data: bytes) -> None:
    with suppress(EnrollmentError):
        _HANDLER.receive(a_wire(body=data))
