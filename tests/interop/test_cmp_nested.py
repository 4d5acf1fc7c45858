"""A factory station at a running server: it enrolls for units, and hands on their messages."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType
from protocols.cmp.protection import Signer, verify_signature
from protocols.wire import WireResponse
from tests.interop.test_cmp import (
    by_certificate,
    certificate,
    cmp,
    enroll,
    new_code,
    new_key,
    refused,
    state_of,
    succeeded,
)
from tests.support.cmp import a_header, a_message, pbm, verify_mac
from tests.support.cmp_conversation import FAIL_INFO, Answered, read
from tests.support.crmf import a_crm
from tests.support.csr import a_name, sequence
from tests.support.device import Device
from tests.support.enrollment import a_new_key
from tests.support.openssl import make_key, make_request
from tests.support.waiting import within

pytestmark = pytest.mark.interop


def appoint(device: Device, name: str) -> Signer:
    """Make a station's key and have it appointed; a profile of its name takes its word."""
    installation, folder = device.installation, device.folder
    key, out = make_key(folder / f"{name}.key"), folder / f"{name}.pem"
    request = make_request(folder / f"{name}.csr", key, subject=[f"CN={name}"])
    installation.run("trust", "appoint", name, "--csr", str(request), "--out", str(out))
    options = ("--set", "initial_credentials=ra", "--set", "renewal_credentials=own_certificate")
    installation.run("profile", "add", name, "--copy", "bootstrap", *options)
    signer, *above = x509.load_pem_x509_certificates(out.read_bytes())
    private_key = load_pem_private_key(key.read_bytes(), None)
    return Signer.holding(signer, private_key, chain=above)


def post(device: Device, message: bytes) -> WireResponse:
    request = Request(
        f"http://{device.server.http}/.well-known/cmp",
        data=message,
        headers={"Content-Type": "application/pkixcmp"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - the server under test
        return WireResponse(
            status=answer.status, media_type=answer.headers["Content-Type"], body=answer.read()
        )


def an_ir(name: str, code: str) -> bytes:
    """Make a unit's request, which wants no confirmation."""
    content = sequence(a_crm(a_new_key(), number=0, subject=a_name(name)))
    header = a_header(
        sender_kid=name.encode(),
        transaction_id=os.urandom(16),
        sender_nonce=os.urandom(16),
        message_time=datetime.now(UTC),
        implicit_confirm=True,
    )
    return a_message(BodyType.IR, content, header, protection=derive_key(pbm(), code.encode()))


def nested(station: Signer, messages: Sequence[bytes], **ids: object) -> bytes:
    """Put messages into one of the station's, with ids of its own where none are given."""
    fresh = {"transaction_id": os.urandom(16), "sender_nonce": os.urandom(16)}
    header = a_header(
        sender=directory_name(station.certificate.subject.public_bytes()),
        sender_kid=station.key_identifier,
        message_time=datetime.now(UTC),
        **{**fresh, **ids},
    )
    extra_certs = station.extra_certs
    content = sequence(*messages)
    return a_message(BodyType.NESTED, content, header, protection=station, extra_certs=extra_certs)


def taken_apart(answer: Answered) -> list[Answered]:
    """Read the answers in a nested one, as pyasn1-modules took them out."""
    assert answer.kind is BodyType.NESTED
    media_type = "application/pkixcmp"
    return [
        read(WireResponse(status=200, media_type=media_type, body=bytes(each)))
        for each in answer.body
    ]


def test_cmp_O1_P17_openssl_enrolls_as_an_authority_and_vouches_for_keys(device: Device) -> None:
    appoint(device, "line-a")
    for name in ("unit-a1", "unit-a2"):
        device.installation.run("device", "add", name, "--no-code")
    signed = ("-subject", "/CN=unit-a1", *by_certificate("line-a"))
    vouched = ("-subject", "/CN=unit-a2", *by_certificate("line-a"), "-popo", "0")
    by_itself = ("-subject", "/CN=unit-a3", *by_certificate("unit-a3"), "-popo", "0")
    enroll(device, "unit-a3")

    served = within(
        10,
        lambda: not cmp(device, "ir", *new_key(device, "a1"), *signed, profile="line-a").returncode,
    )
    given = cmp(device, "cr", *new_key(device, "a2"), *vouched, profile="line-a")
    not_given = cmp(device, "cr", *new_key(device, "a3"), *by_itself, profile="operational")

    assert served
    succeeded(given)
    assert certificate(device, "a2").subject.rfc4514_string() == "CN=unit-a2"
    assert (state_of(device, "unit-a1"), state_of(device, "unit-a2")) == ("registered",) * 2
    assert b"PKIFailureInfo: notAuthorized" in refused(not_given)
    attempts = device.installation.json("attempts", "--limit", "9")
    by_station = [each["device"] for each in attempts if each["registration_authority"]]
    assert {"unit-a1", "unit-a2"} <= set(by_station)
    assert "unit-a3" not in by_station


def test_cmp_N1_N2_a_station_hands_on_what_units_send(device: Device) -> None:
    station = appoint(device, "line-b")
    codes = {name: new_code(device, name) for name in ("unit-b1", "unit-b2", "unit-b3")}
    alone = an_ir("unit-b1", codes["unit-b1"])
    header = decode(alone).header
    ids = {"transaction_id": header.transaction_id, "sender_nonce": header.sender_nonce}
    within(10, lambda: read(post(device, nested(station, [alone], **ids))).status == 0)
    good, wrong = an_ir("unit-b2", codes["unit-b2"]), an_ir("unit-b3", "AAAA-AAAA-AAAA-AAAA-AAAA")

    again = read(post(device, nested(station, [alone], **ids)))
    answer = read(post(device, nested(station, [good, wrong])))

    assert (again.kind, again.status) == (BodyType.IP, 0)
    assert verify_mac(decode(again.octets), codes["unit-b1"].encode())
    verify_signature(decode(answer.octets), x509.load_der_x509_certificate(answer.extra_certs[0]))
    given, not_given = taken_apart(answer)
    assert (given.kind, given.status) == (BodyType.IP, 0)
    assert verify_mac(decode(given.octets), codes["unit-b2"].encode())
    assert not_given.fail_info == {FAIL_INFO["badMessageCheck"]}
    assert [state_of(device, each) for each in codes] == ["registered", "registered", "enrolled"]
    attempts = device.installation.json("attempts", "--limit", "2")
    assert [each["registration_authority"] for each in attempts] == ["line-b", "line-b"]
    assert [each["outcome"] for each in attempts] == ["denied", "issued"]
