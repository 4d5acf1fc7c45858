"""Keys made for devices, fetched by curl and opened by openssl (issue 4, acceptance 2)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from protocols.cms.content_info import SIGNED_DATA, wrap
from server.home import Home
from tests.support.csr import a_name, raw_csr
from tests.support.device import Answer as Said
from tests.support.device import Device
from tests.support.installation import Installation
from tests.support.key_generation import Answer, key_identifier, to_certificate, to_shared_key
from tests.support.lint import check_home
from tests.support.openssl import make_key, make_request, openssl

pytestmark = pytest.mark.interop

SECRET = "00112233445566778899aabbccddeeff" * 2
MADE = "est.server_key_generation=allowed"
USAGES = {"rsa-2048": "digitalSignature,keyEncipherment", "p-256": "digitalSignature,keyAgreement"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite, whose profiles make keys; where the registry is matters not."""
    made = Installation.initialize(tmp_path_factory.mktemp("site") / "home")
    made.run("profile", "set", "bootstrap", MADE)
    made.run("profile", "set", "operational", MADE, "est.key_encryption_required=true")
    strong = "est.key_generation_algorithms=p-384,ml-dsa-65"
    made.run("profile", "add", "strong", "--copy", "bootstrap", "--set", strong)
    for kind, usage in USAGES.items():
        made.run(
            *("certificate-profile", "add", f"for-{kind}", "--copy", "bootstrap"),
            *("--set", f"key_usage={usage}"),
        )
        made.run(
            *("profile", "add", f"for-{kind}", "--copy", "bootstrap"),
            *("--set", f"certificate_profile=for-{kind}"),
        )
    slots = "own_certificates_of=bootstrap,for-rsa-2048,for-p-256"
    made.run("profile", "set", "operational", slots)
    yield made
    check_home(Home(made.home))


def asked(device: Device, *attributes: bytes, name: str = "pump-1") -> Path:
    path = device.folder / "keyless.der"
    path.write_bytes(raw_csr(*attributes, subject=a_name(name).public_bytes(), signature=b"none"))
    return path


def taken_apart(said: Said) -> Answer:
    head = said.headers.replace("\r\n", "\n").rpartition("\n\n")[0]
    kind = next(
        line.partition(": ")[2]
        for line in head.splitlines()
        if line.lower().startswith("content-type:")
    )
    assert said.status == 200, said.body
    return Answer.of_octets(kind, said.body)


def public_key_of(device: Device, certificate: x509.Certificate) -> bytes:
    device.keep("made", certificate)
    return openssl("x509", "-in", device.folder / "made.pem", "-noout", "-pubkey")


def check_opened(device: Device, envelope: bytes, words: tuple[str | Path, ...]) -> bytes:
    """Have openssl decrypt the envelope, verify who signed, and give the key in PEM."""
    signed = openssl("cms", "-decrypt", "-inform", "DER", "-binary", *words, given=envelope)
    home = device.installation.home
    package = openssl(
        *("cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any"),
        *("-CAfile", home / "ca" / "root.pem", "-certfile", home / "ca" / "key-generation.pem"),
        given=wrap(SIGNED_DATA, signed),
    )
    inner = device.folder / "key.der"
    openssl(
        "asn1parse",
        "-inform",
        "DER",
        "-strparse",
        _content_at(package),
        "-noout",
        "-out",
        inner,
        given=package,
    )
    return openssl("pkey", "-inform", "DER", "-in", inner, "-pubout")


def _content_at(package: bytes) -> str:
    """Tell where the one key begins in an AsymmetricKeyPackage."""
    assert package[0] == 0x30
    return str(2 if package[1] < 0x80 else 2 + (package[1] & 0x7F))


def code_for(device: Device, name: str) -> str:
    return f"{name}:{device.installation.json('device', 'add', name)['code']}"


def test_est_K2_curl_fetches_a_key_and_its_certificate(device: Device) -> None:
    user = code_for(device, "plain-1")

    answer = taken_apart(device.post("serverkeygen", asked(device, name="plain-1"), user=user))

    answer.check_plain()
    (device.folder / "made.key").write_bytes(answer.key_octets)
    public = openssl("pkey", "-inform", "DER", "-in", device.folder / "made.key", "-pubout")
    assert public == public_key_of(device, answer.issued)
    again = device.post("serverkeygen", asked(device, name="plain-1"), user=user)
    assert (again.status, again.body) == (401, b"")


def test_est_K8_openssl_opens_a_key_with_the_secret_that_it_shares(device: Device) -> None:
    user = code_for(device, "shared-1")
    file = device.folder / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    device.installation.run(
        "device", "decryption-key", "add", "shared-1", "0a0b", "--key-file", str(file)
    )
    body = asked(device, to_shared_key(b"\x0a\x0b"), name="shared-1")

    answer = taken_apart(device.post("serverkeygen", body, user=user))

    words = ("-secretkey", SECRET, "-secretkeyid", "0a0b")
    found = check_opened(device, answer.key_octets, words)
    assert found == public_key_of(device, answer.issued)


@pytest.mark.parametrize("kind", USAGES)
def test_est_K9_openssl_opens_a_key_with_that_of_a_certificate(device: Device, kind: str) -> None:
    name = f"holder-{kind}"
    user = code_for(device, name)
    key = make_key(device.folder / "own.key", kind)
    request = make_request(device.folder / "own.der", key, subject=(f"CN={name}",))
    own = device.post(f"for-{kind}/simpleenroll", request, user=user).certificate
    device.keep("own", own)
    body = asked(device, to_certificate(key_identifier(own)), name=name)

    answer = taken_apart(device.post("operational/serverkeygen", body, certificate="own"))

    words = ("-recip", device.folder / "own.pem", "-inkey", key)
    found = check_opened(device, answer.key_octets, words)
    assert found == public_key_of(device, answer.issued)
    plain = device.post("operational/serverkeygen", asked(device, name=name), certificate="own")
    assert plain.status == 400


@pytest.mark.parametrize(
    ("suite", "status"),
    [("ECDHE-ECDSA-AES128-GCM-SHA256", 403), ("ECDHE-ECDSA-AES256-GCM-SHA384", 200)],
)
def test_est_K6_the_suite_of_the_connection_counts(device: Device, suite: str, status: int) -> None:
    name = f"suite-{status}"
    user = code_for(device, name)

    answer = device.post(
        "strong/serverkeygen",
        asked(device, name=name),
        user=user,
        options=("--tls-max", "1.2", "--ciphers", suite),
    )

    assert answer.status == status, answer.body
    if status == 200:
        public = public_key_of(device, taken_apart(answer).issued)
        (device.folder / "public.pem").write_bytes(public)
        said = openssl("pkey", "-pubin", "-in", device.folder / "public.pem", "-text", "-noout")
        assert b"P-384" in said


def test_est_K6_check_tells_where_keys_need_a_strong_suite(installation: Installation) -> None:
    found = {each["check"]: each for each in installation.json("check")}

    assert found["key generation bootstrap"]["result"] == "ok"
    assert found["key generation strong"]["result"] == "warning"
    assert "p-384, ml-dsa-65" in found["key generation strong"]["detail"]
