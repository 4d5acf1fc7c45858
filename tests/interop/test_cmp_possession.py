"""openssl's client asks for an encrypted certificate (`-popo 2`), and shows that it read it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from pyasn1_alt_modules import rfc9810

from enroll.profiles import SIGNING, KeyAlgorithm
from protocols.cmp.messages import BodyType
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
from tests.interop.test_cmp_restarts import Caller, a_caller, certificates_of, post, until_killed
from tests.support.cmp import integer
from tests.support.cmp_possession import decrypted, decrypted_rand
from tests.support.crmf import a_cert_request, a_private_key_message
from tests.support.csr import a_name, sequence, tlv
from tests.support.device import Device
from tests.support.installation import Installation
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


def test_cmp_O4_a_server_may_be_killed_while_a_key_is_being_proven(
    installation: Installation,
) -> None:
    allowed = ",".join(sorted(SIGNING | {KeyAlgorithm.X25519}))
    installation.run("certificate-profile", "set", "bootstrap", f"key_algorithms={allowed}")
    key = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    sealed, asked = a_caller(installation, "sealed"), a_caller(installation, "asked")

    with until_killed(installation, workers=2) as server:
        sealed.heard = post(server, request(sealed, key[0], "encrCert"), rfc9810)
        asked.heard = post(server, request(asked, key[1], "challengeResp"), rfc9810)
    certificate = decrypted(sealed.heard.encrypted, key[0])
    rand = decrypted_rand(asked.heard, key[1])
    with until_killed(installation) as server:
        confirmed = post(server, word(sealed, certificate))
        asked.heard = post(server, asked.message(BodyType.POPDECR, sequence(rand)), rfc9810)
    with until_killed(installation) as server:
        taken = post(server, word(asked, asked.heard.certificate))

    assert [confirmed.kind, taken.kind] == [BodyType.PKICONF] * 2
    for name in ("sealed", "asked"):
        assert certificates_of(installation, name) == ["active"]
        assert installation.json("device", "show", name)["state"] == "registered"


def request(caller: Caller, key: Any, method: str) -> bytes:
    """Ask for a certificate, in pvno 3, whose key is proven by decryption."""
    caller.header = replace(caller.header, pvno=3)
    wanted = a_cert_request(key, number=0, subject=a_name(caller.name))
    content = a_private_key_message(wanted, "keyAgreement", content=method)
    return caller.message(BodyType.IR, sequence(content))


def word(caller: Caller, certificate: bytes) -> bytes:
    status = sequence(tlv(0x04, hashlib.sha256(certificate).digest()), integer(0))
    return caller.message(BodyType.CERT_CONF, sequence(status))
