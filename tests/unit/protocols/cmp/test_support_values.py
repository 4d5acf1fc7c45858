"""The values of support messages, against DER that others made."""

from datetime import UTC, datetime

import pytest
from cryptography.x509.oid import NameOID
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc4211

from enroll.profiles import KeyAlgorithm, KeyUsageBit
from enroll.requirements import (
    AlternativeNameKind,
    RequestRequirements,
    WantedAttribute,
    WantedName,
)
from protocols import der
from protocols.cmp.request_template import encode_request_template
from protocols.cmp.support_values import CRLSource, CRLStatus, read_crl_statuses
from tests.support.csr import a_name, sequence

# Made with pyasn1-alt-modules, rfc9480.
BY_PLACE = bytes.fromhex("30123010a00ea00c860a687474703a2f2f632f31")
BY_ISSUER = bytes.fromhex(
    "30263024a1133011a40f300d310b300906035504030c024341170d3236303130313030303030305a"
)
KEYS_ALONE = bytes.fromhex(
    "303730003033300f06092b060105050705010c02020c00302006092b060105050705010b30130607"
    "2a8648ce3d020106082a8648ce3d030107"
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BY_PLACE, CRLStatus(source=CRLSource(urls=("http://c/1",)))),
        (
            BY_ISSUER,
            CRLStatus(
                source=CRLSource(issuers=(a_name("CA").public_bytes(),)),
                this_update=datetime(2026, 1, 1, tzinfo=UTC),
            ),
        ),
    ],
)
def test_cmp_O7_the_list_that_is_asked_for_is_read(value: bytes, expected: CRLStatus) -> None:
    assert read_crl_statuses(value) == (expected,)


def test_cmp_O7_a_template_may_ask_for_keys_alone() -> None:
    allowed = {KeyAlgorithm.P_256, KeyAlgorithm.RSA_3072}

    assert encode_request_template(RequestRequirements(), allowed) == KEYS_ALONE


def test_cmp_O7_a_template_without_any_demand_is_empty() -> None:
    assert encode_request_template(RequestRequirements(), ()) == sequence(sequence())


def test_cmp_O7_a_template_holds_names_extensions_and_a_control_for_each_key() -> None:
    wanted = RequestRequirements(
        subject=(
            WantedAttribute(type=NameOID.ORGANIZATION_NAME, value="Acme"),
            WantedAttribute(type=NameOID.COMMON_NAME),
        ),
        alternative_names=(WantedName(kind=AlternativeNameKind.DNS),),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
    )

    octets = encode_request_template(wanted, KeyAlgorithm)

    template, controls = (each.whole for each in der.split(der.split(octets)[0].content))
    found, rest = decoder.decode(template, asn1Spec=rfc4211.CertTemplate())
    assert not rest
    assert encoder.encode(found) == template
    assert [each.tag for each in der.split(der.split(template)[0].content)] == [0xA5, 0xA9]
    usage, names = found["extensions"]
    assert (str(usage["extnID"]), bool(usage["critical"])) == ("2.5.29.15", True)
    # A name that the device is to fill in is there, and empty (RFC 9483 §4.3.3).
    assert bytes(names["extnValue"]) == bytes.fromhex("30028200")
    attributes = [each[0] for each in found["subject"][0]]
    assert [str(each["type"]) for each in attributes] == ["2.5.4.10", "2.5.4.3"]
    assert [bytes(each["value"]) for each in attributes] == [b"\x0c\x04Acme", b"\x0c\x00"]
    known, rest = decoder.decode(controls, asn1Spec=rfc4211.Controls())
    assert not rest
    assert len(known) == len(KeyAlgorithm)
    assert {str(each["type"]).rpartition(".")[2] for each in known} == {"11", "12"}
