"""openssl's client asks for an encrypted certificate (`-popo 2`), and shows that it read it."""

import pytest

from tests.interop.test_cmp import (
    by_code,
    certificate,
    cmp,
    new_code,
    new_key,
    refused,
    state_of,
    statuses_of,
    succeeded,
)
from tests.support.device import Device
from tests.support.openssl import make_key

pytestmark = pytest.mark.interop


def test_cmp_O4_openssl_decrypts_its_certificate_and_confirms_it(device: Device) -> None:
    code = new_code(device, "pump-e1")
    key = make_key(device.folder / "e1.key", "rsa-2048")
    words = ("-newkey", key, "-certout", "e1.pem", "-subject", "/CN=pump-e1", "-popo", "2")

    said = succeeded(cmp(device, "ir", *by_code("pump-e1", code), *words, "-implicit_confirm"))

    assert b"sending CERTCONF" in said
    assert b"received PKICONF" in said
    assert state_of(device, "pump-e1") == "registered"
    assert statuses_of(device, "pump-e1") == {"bootstrap": "active"}
    serial_number = f"{certificate(device, 'e1').serial_number:x}"
    assert device.installation.json("certificate", "show", serial_number)["pem"]


def test_a_certificate_that_nobody_confirmed_is_not_shown(device: Device) -> None:
    code = new_code(device, "pump-e2")
    key = make_key(device.folder / "e2.key", "rsa-2048")
    words = ("-newkey", key, "-certout", "e2.pem", "-subject", "/CN=pump-e2", "-popo", "2")

    succeeded(cmp(device, "ir", *by_code("pump-e2", code), *words, "-disable_confirm"))

    assert statuses_of(device, "pump-e2") == {"bootstrap": "pending_confirm"}
    (found,) = device.installation.json("device", "show", "pump-e2")["certificates"]
    assert device.installation.json("certificate", "show", found["serial_number"])["pem"] is None


def test_an_ec_key_is_for_key_agreement_which_openssl_does_not_say(device: Device) -> None:
    code = new_code(device, "pump-e3")
    words = (*new_key(device, "e3"), "-subject", "/CN=pump-e3", "-popo", "2")

    said = refused(cmp(device, "ir", *by_code("pump-e3", code), *words))

    assert b"PKIFailureInfo: badPOP" in said
