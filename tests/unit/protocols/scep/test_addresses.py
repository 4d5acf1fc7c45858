"""Where SCEP is reached, and what is told before any message: paths, operations, capabilities."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from enroll.failures import AuthorityUnavailable
from enroll.options import SCEPOptions
from protocols.scep import capabilities
from protocols.scep.addresses import read_label
from protocols.scep.handler import SCEPHandler
from protocols.wire import ProtocolViolation, TransportFault, WireRequest, WireResponse
from tests.support.enrollment import an_issuer
from tests.support.scep import FixedServices, a_scep_wire, an_ra

LEGACY = SCEPOptions(legacy=True)


def handler(**options: SCEPOptions) -> SCEPHandler:
    """Make a handler with these labels, and a default profile."""
    known: dict[str | None, SCEPOptions] = {None: SCEPOptions()}
    known.update(options.items())
    return SCEPHandler(FixedServices(by_label=known))


def get(operation: str, path: str = "", more: str = "") -> WireRequest:
    return a_scep_wire(path, method="GET", query=f"operation={operation}{more}")


def answered(scep: SCEPHandler, wire: WireRequest) -> WireResponse:
    answer = scep.receive(wire)
    assert isinstance(answer, WireResponse)
    return answer


def refused(scep: SCEPHandler, wire: WireRequest) -> WireResponse:
    with pytest.raises(ProtocolViolation) as raised:
        scep.receive(wire)
    return raised.value.response


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("", None),
        ("pkiclient.exe", None),
        ("PKIClient.EXE", None),
        ("floor-2", "floor-2"),
        ("Floor-2", "floor-2"),
        ("floor-2/pkiclient.exe", "floor-2"),
        ("floor-2/anything/at/all", "floor-2"),
        ("floor%2D2", "floor-2"),
        ("//floor-2//", "floor-2"),
    ],
)
def test_scep_10_a_path_is_a_label_and_whatever_follows_it(path: str, label: str | None) -> None:
    assert read_label(path) == label


@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert", "PKIOperation"])
def test_scep_1_an_unknown_label_is_404(operation: str) -> None:
    assert refused(handler(), get(operation, "floor-9")).status == 404


def test_scep_1_a_default_profile_without_scep_is_404() -> None:
    scep = SCEPHandler(FixedServices(by_label={}))

    assert refused(scep, get("GetCACaps")).status == 404


@pytest.mark.parametrize("more", ["", "&message=", "&message=0", "&message=CAIdentifier", "&m=1"])
@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert"])
def test_scep_9_a_ca_identifier_decides_nothing(operation: str, more: str) -> None:
    scep = handler()

    answer = answered(scep, get(operation, more=more))

    assert answer == answered(scep, get(operation))


def test_scep_2_the_capabilities_are_one_a_line_in_plain_text() -> None:
    answer = answered(handler(), get("GetCACaps"))

    assert (answer.status, answer.media_type) == (200, "text/plain")
    assert answer.body.decode().splitlines() == [
        "AES",
        "POSTPKIOperation",
        "Renewal",
        "SHA-256",
        "SHA-384",
        "SHA-512",
        "SCEPStandard",
    ]
    assert answer.body.endswith(b"\n")


def test_scep_2_a_legacy_profile_claims_no_standard_and_names_its_old_algorithms() -> None:
    words = answered(handler(old=LEGACY), get("GetCACaps", "old")).body.decode().splitlines()

    assert {"DES3", "SHA-1"} < set(words)
    assert "SCEPStandard" not in words


def test_scep_5_get_next_ca_cert_is_not_named_without_a_next_ca() -> None:
    scep = handler()

    words = answered(scep, get("GetCACaps")).body.decode().splitlines()

    assert "GetNextCACert" not in words
    assert refused(scep, get("GetNextCACert")).status == 404
    assert "GetNextCACert" in capabilities.keywords(SCEPOptions(), next_ca=True)


def test_scep_45_no_profile_can_do_without_the_mandatory_set() -> None:
    for options in (SCEPOptions(), LEGACY):
        words = capabilities.keywords(options, next_ca=False)

        assert {"AES", "POSTPKIOperation", "SHA-256"} <= set(words)


def test_scep_57_one_keyword_alone_is_in_no_registry() -> None:
    registered = {
        *("AES", "DES3", "GetNextCACert", "POSTPKIOperation", "Renewal"),
        *("SHA-1", "SHA-256", "SHA-512", "SCEPStandard", "Update"),
    }

    words = {
        each
        for options in (SCEPOptions(), LEGACY)
        for each in capabilities.keywords(options, next_ca=True)
    }

    assert words - registered == {"SHA-384"}


def test_scep_60_no_capability_is_an_empty_body() -> None:
    assert capabilities.encode(()) == b""


def test_scep_7_get_ca_cert_gives_the_ra_and_every_ca_above_it() -> None:
    answer = answered(handler(), get("GetCACert"))

    found = pkcs7.load_der_pkcs7_certificates(answer.body)
    issuer = an_issuer()
    assert answer.media_type == "application/x-x509-ca-ra-cert"
    assert {each.public_bytes(Encoding.DER) for each in found} == {
        an_ra().der,
        issuer.der,
        *issuer.chain,
    }


def test_scep_6_a_legacy_client_is_told_of_the_ra_certificate_alone() -> None:
    answer = answered(handler(old=LEGACY), get("GetCACert", "old"))

    assert answer.media_type == "application/x-x509-ca-cert"
    assert answer.body == an_ra().der


def test_get_ca_cert_follows_a_new_ra_certificate() -> None:
    services = FixedServices()
    scep = SCEPHandler(services)
    before = answered(scep, get("GetCACert"))
    services.authorities = (an_ra(1), an_ra())

    after = answered(scep, get("GetCACert"))

    assert an_ra(1).der in after.body
    assert an_ra(1).der not in before.body
    assert an_ra().der not in after.body


def test_without_an_ra_certificate_nothing_is_told_yet() -> None:
    scep = SCEPHandler(FixedServices(authorities=()))

    with pytest.raises(AuthorityUnavailable):
        scep.receive(get("GetCACert"))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "operation=",
        "operation=getcacaps",
        "operation=GetCACaps%20",
        "operation=Other",
        "message=x",
        "operation=GetCACaps&operation=GetCACert",
    ],
)
def test_scep_52_a_get_that_names_no_operation_exactly_is_400(query: str) -> None:
    assert refused(handler(), a_scep_wire(method="GET", query=query)).status == 400


@pytest.mark.parametrize("operation", ["GetCACaps", "GetCACert", "GetNextCACert", "Other"])
def test_scep_52_a_post_takes_no_other_operation(operation: str) -> None:
    wire = a_scep_wire(query=f"operation={operation}", body=b"x")

    assert refused(handler(), wire).status == 400


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_405(method: str) -> None:
    answer = refused(handler(), a_scep_wire(method=method, query="operation=GetCACaps"))

    assert answer.status == 405
    assert ("Allow", "GET, POST") in answer.headers


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (TransportFault.LENGTH_REQUIRED, 411),
        (TransportFault.TOO_LARGE, 413),
        (TransportFault.BODY_TIMEOUT, 408),
        (TransportFault.CONTENT_ENCODING, 415),
    ],
)
def test_scep_11_a_body_that_cannot_be_taken_is_answered_by_http(
    fault: TransportFault, status: int
) -> None:
    answer = refused(handler(), a_scep_wire(fault=fault))

    assert (answer.status, answer.close) == (status, True)
