"""Keys made for clients of CMP by a server, opened and verified by openssl."""

import os
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1_alt_modules import rfc9810

from protocols.cmp.encode import MEDIA_TYPE, directory_name
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIHeader
from protocols.cmp.protection import Protection, Signer
from protocols.cms.content_info import SIGNED_DATA, wrap
from protocols.wire import WireResponse
from server.home import Home
from tests.support.cmp import a_header, a_message, pbm
from tests.support.cmp_conversation import Answered, read
from tests.support.cmp_keys import (
    RSA,
    certificate_in,
    envelope_of,
    key_in,
    keyless,
    pem,
    public_key_in,
)
from tests.support.crmf import a_crm
from tests.support.csr import Key, a_key, a_name, sequence
from tests.support.device import Device
from tests.support.installation import Installation
from tests.support.lint import check_home
from tests.support.openssl import openssl

pytestmark = pytest.mark.interop

USAGES = "key_usage=digitalSignature,keyEncipherment,keyAgreement"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite, whose profiles make keys; where the registry is matters not."""
    made = Installation.initialize(tmp_path_factory.mktemp("site") / "home")
    for each in ("bootstrap", "operational"):
        made.run("certificate-profile", "set", each, USAGES)
        made.run(
            *("profile", "set", each, "est.server_key_generation=allowed"),
            "est.key_generation_algorithms=p-384,rsa-2048",
        )
    yield made
    check_home(Home(made.home))


def send(
    device: Device,
    kind: BodyType,
    content: bytes,
    header: PKIHeader,
    protection: Protection,
    extra_certs: tuple[bytes, ...] = (),
) -> Answered:
    header = replace(
        header,
        pvno=3,
        transaction_id=os.urandom(16),
        sender_nonce=os.urandom(16),
        implicit_confirm=True,
    )
    message = a_message(kind, content, header, protection=protection, extra_certs=extra_certs)
    profile = "bootstrap" if kind is BodyType.IR else "operational"
    connection = HTTPConnection(device.server.http, timeout=20)
    connection.request(
        "POST", f"/.well-known/cmp/p/{profile}", message, {"Content-Type": MEDIA_TYPE}
    )
    answer = connection.getresponse()
    found = WireResponse(status=answer.status, media_type=MEDIA_TYPE, body=answer.read())
    connection.close()
    return read(found, rfc9810)


def by_code(device: Device, name: str) -> tuple[PKIHeader, Protection, str]:
    code: str = device.installation.json("device", "add", name)["code"]
    header = a_header(sender_kid=name.encode(), message_time=None)
    return header, derive_key(pbm(), code.encode()), code


def check_opened(device: Device, answer: Answered, words: tuple[str | Path, ...]) -> None:
    """Have openssl decrypt the envelope, verify who signed, and read the key."""
    signed = openssl(
        *("cms", "-decrypt", "-inform", "DER", "-binary", *words), given=envelope_of(answer)
    )
    home = device.installation.home
    openssl(
        *("cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any"),
        *("-CAfile", home / "ca" / "root.pem"),
        given=wrap(SIGNED_DATA, signed),
    )
    key, maker = key_in(signed)
    purposes = x509.load_der_x509_certificate(maker).extensions.get_extension_for_class(
        x509.ExtendedKeyUsage
    )
    assert x509.ObjectIdentifier("1.3.6.1.5.5.7.3.32") in purposes.value, "id-kp-cmKGA"
    certified = certificate_in(answer).public_key()
    assert public_key_in(key) == certified.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def test_cmp_K2_openssl_opens_a_key_with_the_secret_of_the_request(device: Device) -> None:
    header, protection, code = by_code(device, "secret-1")

    answer = send(device, BodyType.IR, keyless("secret-1", algorithm=RSA), header, protection)

    assert certificate_in(answer).public_key().key_size == 2048  # type: ignore[union-attr]
    check_opened(device, answer, ("-pwri_password", code))


@pytest.mark.parametrize("kind", ["rsa-2048", "p-256"])
def test_cmp_K2_openssl_opens_a_key_with_that_of_the_requests_certificate(
    device: Device, kind: str
) -> None:
    name, key = f"for-{kind}", a_key(kind, 40)
    header, protection, _ = by_code(device, name)
    own = send(
        device,
        BodyType.IR,
        sequence(a_crm(key, number=0, subject=a_name(name))),
        header,
        protection,
    )
    held = certificate_in(own)

    answer = send(device, BodyType.CR, keyless(name), *signing_with(held, key))

    (device.folder / "own.key").write_bytes(pem(key))
    (device.folder / "own.pem").write_bytes(held.public_bytes(Encoding.PEM))
    words = ("-recip", device.folder / "own.pem", "-inkey", device.folder / "own.key")
    check_opened(device, answer, words)


def signing_with(
    certificate: x509.Certificate, key: Key
) -> tuple[PKIHeader, Protection, tuple[bytes, ...]]:
    signer = Signer.holding(certificate, key)
    header = a_header(
        sender=directory_name(certificate.subject.public_bytes()),
        sender_kid=signer.key_identifier,
        message_time=None,
    )
    return header, signer, signer.extra_certs
