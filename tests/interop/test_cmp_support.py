"""Support messages with openssl's client, and what the server that runs tells of its CAs."""

import os
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocols import der
from protocols.cmp.decode import decode, infos_of
from protocols.cmp.encode import directory_name
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import (
    CA_CERTS,
    CRL_STATUS_LIST,
    CRLS,
    ROOT_CA_CERT,
    ROOT_CA_KEY_UPDATE,
    BodyType,
)
from protocols.cmp.protection import mac_holds
from tests.interop.test_cmp import (
    by_certificate,
    by_code,
    certificate,
    cmp,
    enroll,
    new_code,
    refused,
    state_of,
    succeeded,
)
from tests.support.cmp import a_header, a_message, pbm
from tests.support.csr import sequence, tlv
from tests.support.device import Device
from tests.support.waiting import within

pytestmark = pytest.mark.interop
KINDS = ("caCerts", "certReqTemplate", "signKeyPairTypes", "currentCRL", "caProtEncCert")


def told(device: Device, reference: str, code: str, *questions: bytes) -> dict[bytes, bytes | None]:
    """Ask the server over HTTP; give what is told by its types."""
    key = derive_key(pbm(), code.encode())
    header = a_header(
        sender=directory_name(x509.Name([]).public_bytes()),
        sender_kid=reference.encode(),
        transaction_id=os.urandom(16),
        sender_nonce=os.urandom(16),
        message_time=datetime.now(UTC),
    )
    message = a_message(BodyType.GENM, sequence(*questions), header, protection=key)
    request = Request(
        f"http://{device.server.http}/.well-known/cmp",
        data=message,
        headers={"Content-Type": "application/pkixcmp"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        found = decode(answer.read())
    assert mac_holds(found, key)
    assert found.body_type is BodyType.GENP
    (content,) = der.split(der.split(found.body_octets)[0].content)
    return {each.info_type: each.info_value for each in infos_of(content)}


@pytest.mark.parametrize("kind", [None, *KINDS, "implicitConfirm"])
def test_cmp_O7_openssl_asks_with_a_code_for_whatever_it_knows(
    device: Device, kind: str | None
) -> None:
    name = f"pump-g-{kind}".lower()
    code = new_code(device, name)
    words = ("-infotype", kind) if kind is not None else ()

    said = succeeded(cmp(device, "genm", *by_code(name, code), *words))

    assert b"received GENP" in said
    expected = "id-it-unsupportedOIDs" if kind == "implicitConfirm" else f"id-it-{kind}"
    assert kind is None or expected.encode() in said, said
    assert state_of(device, name) == "enrolled"


def test_cmp_O7_openssl_asks_with_a_certificate(device: Device) -> None:
    enroll(device, "pump-gs")

    said = succeeded(cmp(device, "genm", *by_certificate("pump-gs"), "-infotype", "caCerts"))

    assert b"id-it-caCerts" in said


def test_cmp_O7_a_wrong_code_is_told_nothing(device: Device) -> None:
    new_code(device, "pump-gw")

    said = refused(cmp(device, "genm", *by_code("pump-gw", "AAAA-BBBB-CCCC-DDDD-EEEE")))

    assert b"id-it" not in said


def test_cmp_T5_a_label_is_for_one_question(device: Device) -> None:
    code = new_code(device, "pump-gl")
    path = ".well-known/cmp/getcacerts"
    words = by_code("pump-gl", code)

    said = refused(cmp(device, "genm", *words, "-infotype", "currentCRL", path=path))

    assert b"PKIFailureInfo: badRequest" in said
    succeeded(cmp(device, "genm", *words, "-infotype", "caCerts", path=path))


def test_cmp_O7_lists_and_roots_are_those_that_the_server_publishes(device: Device) -> None:
    enroll(device, "pump-gp")
    code = new_code(device, "pump-gq")
    points = certificate(device, "pump-gp").extensions.get_extension_for_class(
        x509.CRLDistributionPoints
    )
    place = points.value[0].full_name[0].value.encode()
    status = sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, place))))
    address = f"http://{device.server.http}/crl/issuing.crl"
    assert within(10, lambda: device.curl(address).status == 200)
    root = x509.load_pem_x509_certificate(device.installation.root.read_bytes())

    found = told(
        device,
        "pump-gq",
        code,
        sequence(CA_CERTS),
        sequence(CRL_STATUS_LIST, sequence(status)),
        sequence(ROOT_CA_CERT, root.public_bytes(Encoding.DER)),
    )

    published = device.curl(address).body
    assert found[CRLS] == sequence(published)
    certificates = [each.whole for each in der.split(der.split(found[CA_CERTS] or b"")[0].content)]
    assert root.public_bytes(Encoding.DER) in certificates
    assert found[ROOT_CA_KEY_UPDATE] is None
