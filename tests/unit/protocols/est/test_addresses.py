import pytest

from enroll.request import Operation
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.wire import ProtocolHandler, ProtocolViolation, TransportFault, WireResponse
from tests.support.wire import FixedLabels, a_wire


def handler() -> ESTHandler:
    return ESTHandler(FixedLabels())


def violation(path: str, method: str = "POST", **rest: object) -> ProtocolViolation:
    fault = rest.get("fault")
    assert fault is None or isinstance(fault, TransportFault)
    with pytest.raises(ProtocolViolation) as caught:
        handler().receive(a_wire(path, method=method, fault=fault))
    return caught.value


def test_the_handler_fits_the_seam() -> None:
    seam: ProtocolHandler = handler()

    assert isinstance(seam.receive(a_wire()), ESTExchange)


@pytest.mark.parametrize(
    ("path", "operation"),
    [("simpleenroll", Operation.INITIAL), ("simplereenroll", Operation.RENEWAL)],
)
def test_est_H1_an_operation_without_a_label_is_served(path: str, operation: Operation) -> None:
    exchange = handler().receive(a_wire(path))

    assert isinstance(exchange, ESTExchange)
    assert exchange.request.operation is operation
    assert exchange.request.origin.profile is None
    assert exchange.request.origin.operation == path


@pytest.mark.parametrize(
    "path",
    [
        "floor%202/simpleenroll",
        "floor%202/simpleenroll/",
        "/floor%202//simpleenroll",
        "%66loor%202/simple%65nroll",
        "//floor 2/simpleenroll//",
    ],
)
def test_est_H3_slashes_and_percent_encoding_are_tolerated(path: str) -> None:
    exchange = handler().receive(a_wire(path))

    assert isinstance(exchange, ESTExchange)
    assert exchange.request.origin.profile == "floor 2"
    assert exchange.request.origin.operation == "simpleenroll"


@pytest.mark.parametrize(
    "path",
    ["nowhere/simpleenroll", "cacerts/simpleenroll", "..%2f/simpleenroll", "%ff%00/simpleenroll"],
)
def test_est_H1_an_unknown_label_is_not_found(path: str) -> None:
    caught = violation(path)

    assert caught.finding == "unknown_profile"
    assert caught.response.status == 404
    assert caught.response.media_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "simple",
        "operational",
        "operational/simple",
        "operational/floor%202/simpleenroll",
        "operational%2Fsimpleenroll",
        "simpleenroll/operational",
        "SIMPLEENROLL",
    ],
)
def test_est_H1_an_unknown_path_is_not_found(path: str) -> None:
    caught = violation(path)

    assert (caught.response.status, caught.finding) == (404, "unknown_path")


@pytest.mark.parametrize("operation", ["serverkeygen", "fullcmc"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_est_K1_M2_operations_that_are_off_are_not_found(operation: str, method: str) -> None:
    assert violation(operation, method).response.status == 404


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("cacerts", "POST", "GET, HEAD"),
        ("csrattrs", "DELETE", "GET, HEAD"),
        ("simpleenroll", "GET", "POST"),
        ("simpleenroll", "HEAD", "POST"),
        ("simplereenroll", "PUT", "POST"),
        ("operational/simplereenroll", "post", "POST"),
    ],
)
def test_est_H4_another_method_is_told_the_right_one(path: str, method: str, allowed: str) -> None:
    caught = violation(path, method)

    assert (caught.response.status, caught.finding) == (405, "method_not_allowed")
    assert ("Allow", allowed) in caught.response.headers


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (TransportFault.LENGTH_REQUIRED, 411),
        (TransportFault.TOO_LARGE, 413),
        (TransportFault.BODY_TIMEOUT, 408),
        (TransportFault.CONTENT_ENCODING, 415),
    ],
)
def test_est_H9_H10_what_the_listener_would_not_read_is_answered_and_closed(
    fault: TransportFault, status: int
) -> None:
    caught = violation("simpleenroll", fault=fault)

    assert (caught.response.status, caught.finding) == (status, fault.value)
    assert caught.response.close
    assert caught.response.media_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["csrattrs", "operational/csrattrs"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_est_A1_no_attributes_are_demanded(path: str, method: str) -> None:
    answer = handler().receive(a_wire(path, method=method))

    assert isinstance(answer, WireResponse)
    assert (answer.status, answer.body) == (204, b"")
