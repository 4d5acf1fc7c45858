"""CMP as the newest OpenSSL speaks it: what the client of Debian 12 does not know yet.

Skipped under an older one. To run it, put a newer `openssl` first in PATH: that of the crate
`openssl-src`, say, which holds the source of OpenSSL (`cargo fetch`, `./Configure no-shared`,
`make build_programs`). Most other tests of openssl's client are run by that one too, then; it
wants other words than Debian's for genm and for a request without proof.
"""

import re

import pytest
from cryptography import x509

from tests.interop.test_cmp import (
    by_certificate,
    by_code,
    certificate,
    cmp,
    enroll,
    new_code,
    new_key,
    refused,
    state_of,
    succeeded,
)
from tests.support.device import Device
from tests.support.openssl import openssl
from tests.support.waiting import within

NEWEST = (3, 5)


def version() -> tuple[int, int]:
    found = re.match(rb"OpenSSL (\d+)\.(\d+)\.", openssl("version"))
    assert found is not None
    return int(found[1]), int(found[2])


pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(version() < NEWEST, reason="openssl here is older than 3.5"),
]


def test_openssl_asks_for_the_authorities(device: Device) -> None:
    enroll(device, "new-1")
    words = ("-infotype", "caCerts", "-cacertsout", "cas.pem")

    succeeded(cmp(device, "genm", *by_certificate("new-1"), *words))

    found = x509.load_pem_x509_certificates((device.folder / "cas.pem").read_bytes())
    assert found


def test_openssl_asks_whether_the_root_has_a_successor(device: Device) -> None:
    enroll(device, "new-2")
    out = ("-newwithnew", "nn.pem", "-newwithold", "no.pem", "-oldwithnew", "on.pem")
    words = ("-infotype", "rootCaCert", "-oldwithold", device.installation.root, *out)

    said = succeeded(cmp(device, "genm", *by_certificate("new-2"), *words))

    assert b"No root CA certificate update available" in said
    assert not (device.folder / "nn.pem").exists()


def test_openssl_asks_what_to_ask_for(device: Device) -> None:
    enroll(device, "new-3")
    words = ("-infotype", "certReqTemplate", "-template", "t.der", "-keyspec", "k.der")

    succeeded(cmp(device, "genm", *by_certificate("new-3"), *words))

    shown = openssl("asn1parse", "-inform", "DER", "-in", device.folder / "k.der")
    assert b"id-ecPublicKey" in shown or b"id-regCtrl-rsaKeyLen" in shown


def test_openssl_fetches_the_list_of_what_is_revoked(device: Device) -> None:
    enroll(device, "new-4")
    words = ("-infotype", "crlStatusList", "-crlcert", "new-4.pem", "-crlout", "new.crl")

    succeeded(cmp(device, "genm", *by_certificate("new-4"), *words))

    found = x509.load_der_x509_crl((device.folder / "new.crl").read_bytes())
    assert found.issuer == certificate(device, "new-4").issuer


def test_openssl_names_a_profile(device: Device) -> None:
    enroll(device, "new-5")
    words = (*new_key(device, "op"), "-subject", "/CN=new-5")

    held = by_certificate("new-5")
    succeeded(cmp(device, "cr", *held, *words, "-profile", "operational"))
    said = refused(cmp(device, "cr", *held, *words, "-profile", "nobody-knows-it"))

    assert state_of(device, "new-5") == "provisioned"
    assert b"PKIFailureInfo: badCertTemplate" in said


def test_openssl_has_a_certificate_revoked_by_its_serial_number(device: Device) -> None:
    enroll(device, "new-6")
    held = certificate(device, "new-6")
    names = [f"{each.rfc4514_attribute_name}={each.value!s}" for each in held.issuer]
    words = ("-issuer", "/" + "/".join(names), "-serial", hex(held.serial_number))

    succeeded(cmp(device, "rr", *by_certificate("new-6"), *words, "-revreason", "5"))

    (found,) = device.installation.json("device", "show", "new-6")["certificates"]
    assert found["status"] == "revoked"


def test_cmp_K1_openssl_opens_and_verifies_the_key_that_was_made_for_it(device: Device) -> None:
    """It takes what is signed for a bare private key: RFC 9483 §4.1.6 has a list of them there."""
    options = ("--copy", "bootstrap", "--set", "est.server_key_generation=allowed")
    device.installation.run("profile", "add", "central", *options)
    code = new_code(device, "new-7")
    subject = ("-subject", "/CN=new-7")
    words = ("-centralkeygen", "-newkeyout", "made.key", "-certout", "made.pem")
    url = f"http://{device.server.http}/cmp/central"
    assert within(10, lambda: device.curl(url).status == 405)

    said = refused(
        cmp(
            device,
            "ir",
            *by_code("new-7", code),
            "-subject",
            "/CN=new-7",
            *words,
            *subject,
            profile="central",
        )
    )

    assert b"received IP" in said
    assert b"error decoding encryptedkey" in said
    assert b"error decrypting encryptedkey" not in said
    assert b"error verifying encryptedkey" not in said


@pytest.mark.parametrize("kind", ["ML-DSA-65", "ED25519", "ED448"])
def test_openssl_enrolls_and_signs_with_keys_of_other_kinds(device: Device, kind: str) -> None:
    name = f"new-{kind.lower()}"
    code = new_code(device, name)
    key = device.folder / f"{name}.key"
    openssl("genpkey", "-algorithm", kind, "-out", key)
    words = ("-newkey", key, "-certout", f"{name}.pem", "-subject", f"/CN={name}")

    succeeded(cmp(device, "ir", *by_code(name, code), *words))
    succeeded(cmp(device, "kur", *by_certificate(name), *new_key(device, f"{name}-2")))

    assert certificate(device, f"{name}-2").subject == certificate(device, name).subject
