"""Any path and headers are an enrollment, an answer or a refusal; the origin can always be told."""

from contextlib import suppress

from enroll.failures import EnrollmentError
from protocols.est.handler import ESTHandler
from protocols.wire import ProtocolViolation
from tests.support.wire import FixedLabels, a_wire

_HANDLER = ESTHandler(FixedLabels())


def fuzz_est_head(data: bytes) -> None:
    """Read lines: method, path, Authorization, Content-Type, If-None-Match, then a certificate."""
    lines = [*data.split(b"\n", 5), b"", b"", b"", b"", b"", b""]
    method, path, authorization, media_type, known = (line.decode("latin-1") for line in lines[:5])
    wire = a_wire(
        path,
        method=method or "POST",
        headers={
            "Authorization": authorization,
            "Content-Type": media_type or "application/pkcs10",
            "If-None-Match": known,
        },
        peer_chain=(lines[5],) if lines[5] else (),
    )
    _HANDLER.origin(wire)
    with suppress(EnrollmentError, ProtocolViolation):
        _HANDLER.receive(wire)
