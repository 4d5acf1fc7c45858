"""EST's fullcmc with openssl and curl alone: openssl signs the request, and verifies the answer."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.support.cmc import (
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    Answer,
    Control,
    a_pki_data,
    crm,
    identification,
    identity_proof_v2,
    integer,
    read_response,
    tcr,
)
from tests.support.crmf import a_crm
from tests.support.csr import a_name, tlv
from tests.support.device import Answer as Served
from tests.support.device import Device
from tests.support.openssl import make_key, make_request, openssl
from tests.support.waiting import within

PKI_DATA = "1.3.6.1.5.5.7.12.2"
CMC_REQUEST = "Content-Type: application/pkcs7-mime; smime-type=CMC-request"
NONCE = tlv(0x04, b"of the client")
HEARD: list[Control] = [(TRANSACTION_ID, integer(4711)), (SENDER_NONCE, NONCE)]


@pytest.fixture(autouse=True)
def profile(device: Device) -> None:
    """Serve fullcmc under a profile of its own, and renew by it what that profile issued."""
    known = device.installation.json("profile", "list")
    if "cmc" not in {each["slug"] for each in known}:
        options = ("--set", "est.fullcmc=true")
        device.installation.run("profile", "add", "cmc", "--copy", "bootstrap", *options)
        served = f"{device.server.est}/cmc/fullcmc"
        assert within(5, lambda: device.curl(served).status == 405)


def test_est_M1_openssl_enrolls_by_an_identity_proof_and_its_new_key(device: Device) -> None:
    code = device.installation.json("device", "add", "cmc-crmf")["code"]

    served = _post(device, _proven(device.folder, "cmc-crmf", code))

    said, certificates = _verified(device, served)
    assert (served.status, said.status) == (200, 0)
    assert said.controls[RECIPIENT_NONCE] == NONCE
    assert said.controls[TRANSACTION_ID] == integer(4711)
    assert "CN=cmc-crmf" in {each.subject.rfc4514_string() for each in certificates}


def test_est_M1_openssl_renews_by_the_certificate_that_signs(device: Device) -> None:
    code = device.installation.json("device", "add", "cmc-renew")["code"]
    enrolled = device.post(
        "cmc/simpleenroll", device.request("cmc-renew", "cmc-renew"), user=f"cmc-renew:{code}"
    )
    held = device.keep("cmc-renew", enrolled.certificate)
    wanted = make_request(
        device.folder / "new.csr",
        make_key(device.folder / "new.key"),
        subject=("CN=cmc-renew",),
    )
    content = a_pki_data(tcr(wanted.read_bytes()))
    signer, key = device.folder / "cmc-renew.pem", device.folder / "cmc-renew.key"

    served = _post(device, _signed(device.folder, content, signer, key), "cmc-renew")

    assert served.status == 200
    assert "smime-type=certs-only" in served.headers
    listed = openssl("pkcs7", "-inform", "DER", "-print_certs", given=_der(served)).decode()
    assert re.search(r"subject=CN\s*=\s*cmc-renew", listed)
    shown = device.installation.json("device", "show", "cmc-renew")["certificates"]
    assert len(shown) == 2
    assert f"{held.serial_number:x}" in {each["serial_number"] for each in shown}


def test_est_M1_a_wrong_secret_is_badIdentity_in_a_signed_answer(device: Device) -> None:
    device.installation.run("device", "add", "cmc-wrong")

    served = _post(device, _proven(device.folder, "cmc-wrong", "AAAA-BBBB-CCCC-DDDD-EEEE"))

    said, _ = _verified(device, served)
    assert (served.status, said.status, said.fail_info) == (403, 2, 7)
    assert said.body_parts == (101,)
    attempt = device.installation.json("attempts", "--limit", "1")[0]
    assert (attempt["operation"], attempt["finding"]) == ("fullcmc", "code_wrong")


def test_est_M2_fullcmc_is_not_there_unless_it_is_switched_on(device: Device) -> None:
    body = device.folder / "nothing"
    body.write_bytes(b"MAA=")

    answer = device.post("bootstrap/fullcmc", body, options=("-H", CMC_REQUEST))

    assert answer.status == 404


def _proven(folder: Path, name: str, code: str) -> Path:
    """Ask by CRMF for a new key, which signs the message, proven by a code.

    The certificate of its own making only tells openssl the key's identifier.
    """
    key, own = make_key(folder / f"{name}.key"), folder / f"{name}.own.pem"
    openssl("req", "-x509", "-key", key, "-subj", f"/CN={name}", "-out", own)
    private = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    made = x509.load_pem_x509_certificate(own.read_bytes()).extensions
    identifier = made.get_extension_for_class(x509.SubjectKeyIdentifier).value
    wanted = crm(a_crm(private, subject=a_name(name), extensions=[identifier]))
    proof = [identification(name), identity_proof_v2(code, name, wanted)]
    content = a_pki_data(wanted, controls=[*proof, *HEARD])
    return _signed(folder, content, own, key, "-keyid", "-nocerts")


def _signed(folder: Path, content: bytes, signer: Path, key: Path, *options: str) -> Path:
    """Have openssl sign a PKIData; give the message in base64."""
    words: list[str | Path] = ["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"]
    words += ["-econtent_type", PKI_DATA, "-signer", signer, "-inkey", key, "-md", "sha256"]
    path = folder / "request.b64"
    path.write_bytes(base64.encodebytes(openssl(*words, *options, given=content)))
    return path


def _post(device: Device, body: Path, certificate: str | None = None) -> Served:
    return device.post("cmc/fullcmc", body, certificate=certificate, options=("-H", CMC_REQUEST))


def _der(served: Served) -> bytes:
    return base64.b64decode(served.body)


def _verified(device: Device, served: Served) -> tuple[Answer, Sequence[x509.Certificate]]:
    """Have openssl verify the answer up to the root, and give the certificates beside it."""
    assert "smime-type=CMC-response" in served.headers
    signers = device.folder / "signer.pem"
    content = openssl(
        *("cms", "-verify", "-inform", "DER", "-CAfile", device.installation.root),
        *("-purpose", "any", "-signer", signers),
        given=_der(served),
    )
    (signer,) = x509.load_pem_x509_certificates(signers.read_bytes())
    assert signer.subject.rfc4514_string() == "CN=Message Signer"
    pem = openssl("pkcs7", "-inform", "DER", "-print_certs", given=_der(served))
    found = x509.load_pem_x509_certificates(pem)
    assert signer.public_bytes(Encoding.DER) in {each.public_bytes(Encoding.DER) for each in found}
    return read_response(content), found
