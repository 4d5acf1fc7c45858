"""What /csrattrs says, in both styles, read by pyasn1 with the modules of the RFCs."""

from base64 import b64decode

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyasn1_modules import rfc7030

from enroll.options import CSRAttributesStyle, ESTOptions
from enroll.profiles import SIGNING, KeyAlgorithm, KeyUsageBit
from enroll.requirements import (
    AlternativeNameKind,
    RequestRequirements,
    WantedAttribute,
    WantedName,
)
from protocols.est.csr_attributes import encode
from protocols.est.handler import ESTHandler
from protocols.wire import Question, WireResponse
from tests.support.builders import an_enrollment_profile
from tests.support.csr_attributes import Told, read, strictly
from tests.support.wire import FixedLabels, a_certificate, a_wire, basic

BOTH, LIST, NONE = CSRAttributesStyle.BOTH, CSRAttributesStyle.LIST, CSRAttributesStyle.NONE
CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"
KEY_USAGE, EXTENDED_KEY_USAGE, ALTERNATIVE_NAME = "2.5.29.15", "2.5.29.37", "2.5.29.17"
WHOLE, PARTIAL = "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.16.2.62"
COMMON_NAME = WantedAttribute(type=NameOID.COMMON_NAME)
SERIAL_NUMBER = WantedAttribute(type=NameOID.SERIAL_NUMBER)
DNS = AlternativeNameKind.DNS
OWN_URI = WantedName(
    kind=AlternativeNameKind.URI, value=x509.UniformResourceIdentifier("urn:uuid:1")
)
# RFC 9908 §5.2 to §5.6: the last is of another key, serialNumber and attributes of no profile.
VECTORS = {
    "5.2": "MDIGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgcrBgEBAQEWBggqhkjOPQQDAw==",
    "5.4": "MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw==",
    "5.5": "MC4GCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgNVBAUGCCqGSM49BAMD",
    "5.6": "MEUGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjBgkqhkiG9w0BCRQGCgmSJomT8ixk"
    "AQUGA1UEBQYIKoZIzj0EAwQ=",
}


def told(wanted: RequestRequirements, style: CSRAttributesStyle = BOTH) -> tuple[Told, Told]:
    in_list, template = read(encode(wanted, style))
    assert template is not None
    return in_list, template


@pytest.mark.parametrize("section", VECTORS)
def test_est_A7_the_reader_of_these_tests_reads_the_examples_of_the_rfc(section: str) -> None:
    in_list, template = read(b64decode(VECTORS[section]))

    assert in_list.oids[0] == CHALLENGE_PASSWORD
    assert in_list.key is not None
    assert template is None


def test_est_A8_the_example_of_rfc_7030_has_its_mac_address_bare_in_its_correction() -> None:
    in_list, _ = read(b64decode(VECTORS["5.2"]))

    assert "1.3.6.1.1.1.1.22" in in_list.oids
    assert in_list.request is None


def test_est_A8_the_example_as_rfc_7030_printed_it_is_read_too() -> None:
    printed = b64decode(
        "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjO"
        "PQQDAw=="
    )

    found = strictly(printed, rfc7030.CsrAttrs())

    assert str(found[2]["attribute"]["attrType"]) == WHOLE


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ("5.4", RequestRequirements(key=KeyAlgorithm.RSA_4096, channel_binding=True)),
        (
            "5.5",
            RequestRequirements(
                key=KeyAlgorithm.P_384, subject=(SERIAL_NUMBER,), channel_binding=True
            ),
        ),
    ],
)
def test_est_A7_what_the_rfc_has_an_example_of_is_written_as_it_has_it(
    section: str, wanted: RequestRequirements
) -> None:
    assert encode(wanted, BOTH) == b64decode(VECTORS[section])


@pytest.mark.parametrize("style", [LIST, BOTH])
def test_est_A2_where_linking_is_required_the_challenge_password_is_listed(
    style: CSRAttributesStyle,
) -> None:
    wanted = RequestRequirements(channel_binding=True, subject=(COMMON_NAME,))

    in_list, template = read(encode(wanted, style))

    assert in_list.oids == [CHALLENGE_PASSWORD, "2.5.4.3"]
    # A client that read a template would have to ignore what stands beside it.
    assert template is None


def test_est_A2_where_linking_is_not_required_it_is_not_listed() -> None:
    in_list, template = told(RequestRequirements(subject=(COMMON_NAME,)))

    assert CHALLENGE_PASSWORD not in in_list.oids
    assert template.request is None


@pytest.mark.parametrize(
    ("key", "listed", "signature", "in_template", "bits"),
    [
        (
            KeyAlgorithm.P_256,
            ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7"),
            "1.2.840.10045.4.3.2",
            ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7"),
            None,
        ),
        (
            KeyAlgorithm.P_521,
            ("1.2.840.10045.2.1", "1.3.132.0.35"),
            "1.2.840.10045.4.3.4",
            ("1.2.840.10045.2.1", "1.3.132.0.35"),
            None,
        ),
        (
            KeyAlgorithm.RSA_3072,
            ("1.2.840.113549.1.1.1", "3072"),
            "1.2.840.113549.1.1.11",
            ("1.2.840.113549.1.1.1", ""),
            3072,
        ),
        (KeyAlgorithm.ED25519, None, "1.3.101.112", ("1.3.101.112", "absent"), None),
        (
            KeyAlgorithm.ML_DSA_65,
            None,
            "2.16.840.1.101.3.4.3.18",
            ("2.16.840.1.101.3.4.3.18", "absent"),
            None,
        ),
    ],
)
def test_est_A3_a_key_is_told_by_its_type_and_parameters(
    key: KeyAlgorithm,
    listed: tuple[str, str] | None,
    signature: str,
    in_template: tuple[str, str],
    bits: int | None,
) -> None:
    in_list, template = told(RequestRequirements(key=key))

    assert in_list.key == listed
    assert in_list.oids == [signature]
    assert template.key == in_template
    assert template.key_bits == bits


@pytest.mark.parametrize("key", sorted(SIGNING))
def test_est_A6_every_key_that_a_profile_may_demand_can_be_told(key: KeyAlgorithm) -> None:
    in_list, template = told(RequestRequirements(key=key))

    assert in_list.oids
    assert template.key is not None
    assert (template.key_bits is not None) is key.value.startswith("rsa")


def test_est_A4_what_nobody_asks_for_is_absent_from_the_template() -> None:
    _, template = told(RequestRequirements(key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE})))

    assert template.subject is None
    assert template.key is None
    assert template.extensions == {KEY_USAGE: (True, b"\x03\x02\x07\x80")}


def test_est_A9_attributes_are_there_though_empty() -> None:
    der = encode(RequestRequirements(subject=(COMMON_NAME,)), BOTH)

    assert der.endswith(b"\xa1\x00")
    assert told(RequestRequirements(subject=(COMMON_NAME,)))[1].request is None


def test_est_A9_a_name_is_there_where_wanted_and_has_a_value_where_dictated() -> None:
    company = WantedAttribute(type=NameOID.ORGANIZATION_NAME, value="Acme")

    in_list, template = told(RequestRequirements(subject=(COMMON_NAME, company)))

    assert template.subject == [("2.5.4.3", None), ("2.5.4.10", b"\x0c\x04Acme")]
    assert in_list.oids == ["2.5.4.3", "2.5.4.10"]


def test_est_A9_extensions_that_are_known_whole_are_an_extension_request() -> None:
    wanted = RequestRequirements(
        alternative_names=(OWN_URI,),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.KEY_AGREEMENT}),
        extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,),
    )

    in_list, template = told(wanted)

    assert template.request == in_list.request == WHOLE
    assert template.extensions == in_list.extensions
    assert template.extensions[ALTERNATIVE_NAME] == (False, b"\x30\x0c\x86\x0aurn:uuid:1")
    assert set(template.extensions) == {KEY_USAGE, EXTENDED_KEY_USAGE, ALTERNATIVE_NAME}


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (AlternativeNameKind.EMAIL, b"\x81\0"),
        (AlternativeNameKind.DNS, b"\x82\0"),
        (AlternativeNameKind.URI, b"\x86\0"),
        (AlternativeNameKind.IP, b"\x87\0"),
    ],
)
def test_est_A9_a_name_to_be_filled_in_makes_it_an_extension_request_template(
    kind: AlternativeNameKind, place: bytes
) -> None:
    wanted = RequestRequirements(
        alternative_names=(WantedName(kind=kind), OWN_URI),
        extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,),
    )

    in_list, template = told(wanted)

    assert template.request == PARTIAL
    assert template.extensions[ALTERNATIVE_NAME][1] == b"\x30\x0e" + place + b"\x86\x0aurn:uuid:1"
    assert set(template.extensions) == {EXTENDED_KEY_USAGE, ALTERNATIVE_NAME}
    # The list knows whole extensions only: the name is wanted, and nothing is said of its value.
    assert set(in_list.extensions) == {EXTENDED_KEY_USAGE}
    assert in_list.oids == [ALTERNATIVE_NAME]


def test_est_A4_a_profile_may_leave_the_template_out() -> None:
    wanted = RequestRequirements(key=KeyAlgorithm.P_256, subject=(COMMON_NAME,))

    in_list, template = read(encode(wanted, LIST))

    assert template is None
    assert in_list == told(wanted)[0]


@pytest.mark.parametrize("path", ["csrattrs", "operational/csrattrs"])
@pytest.mark.parametrize(
    ("wanted", "style"),
    [
        (RequestRequirements(), BOTH),
        (RequestRequirements(key=KeyAlgorithm.P_256, subject=(COMMON_NAME,)), NONE),
    ],
)
def test_est_A1_where_nothing_is_told_the_answer_is_empty(
    path: str, wanted: RequestRequirements, style: CSRAttributesStyle
) -> None:
    answer = ask(path, wanted, style)

    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("path", ["csrattrs", "operational/csrattrs"])
def test_est_A1_attributes_are_base64_of_their_media_type(path: str) -> None:
    wanted = RequestRequirements(key=KeyAlgorithm.P_256)

    answer = ask(path, wanted, BOTH)

    assert (answer.status, answer.media_type) == (200, "application/csrattrs")
    assert ("Content-Transfer-Encoding", "base64") in answer.headers
    assert b64decode(answer.body) == encode(wanted, BOTH)


@pytest.mark.parametrize(
    ("headers", "chain"),
    [(basic("pump-1", "a code"), ()), ({}, (a_certificate(),))],
)
def test_est_A5_who_shows_a_credential_is_told_once_it_was_judged(
    headers: dict[str, str], chain: tuple[bytes, ...]
) -> None:
    wire = a_wire("operational/csrattrs", method="GET", headers=headers, peer_chain=chain)

    question = ESTHandler(FixedLabels()).receive(wire)

    assert isinstance(question, Question)
    assert len(question.inquiry.credentials) == 1
    assert question.inquiry.origin.profile == "operational"


@pytest.mark.parametrize(
    ("headers", "chain"),
    [({"Authorization": "Basic !"}, ()), ({"Authorization": "Bearer x"}, ()), ({}, (b"junk",))],
)
def test_est_A5_what_cannot_be_read_is_no_credential(
    headers: dict[str, str], chain: tuple[bytes, ...]
) -> None:
    answer = ask("csrattrs", RequestRequirements(subject=(COMMON_NAME,)), BOTH, headers, chain)

    assert answer.status == 200


def ask(
    path: str,
    wanted: RequestRequirements,
    style: CSRAttributesStyle,
    headers: dict[str, str] | None = None,
    chain: tuple[bytes, ...] = (),
) -> WireResponse:
    profile = an_enrollment_profile(est=ESTOptions(csr_attributes=style))
    places: tuple[str | None, ...] = (None, "operational")
    labels = FixedLabels(
        profiles=dict.fromkeys(places, profile), wanted=dict.fromkeys(places, wanted)
    )
    wire = a_wire(path, method="GET", headers=headers or {}, peer_chain=chain)
    answer = ESTHandler(labels).receive(wire)
    assert isinstance(answer, WireResponse)
    return answer
