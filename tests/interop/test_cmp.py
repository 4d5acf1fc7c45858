"""CMP with openssl's client: both kinds of protection, both listeners, both confirmations."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.device import Device
from tests.support.openssl import make_key, make_request, openssl, program
from tests.support.waiting import within

pytestmark = pytest.mark.interop
NOT_VERIFIED = b"PKIFailureInfo: badMessageCheck"


def new_code(device: Device, name: str, *options: str) -> str:
    code: str = device.installation.json("device", "add", name, *options)["code"]
    return code


def state_of(device: Device, name: str) -> str:
    state: str = device.installation.json("device", "show", name)["state"]
    return state


def statuses_of(device: Device, name: str) -> dict[str, str]:
    """Tell the status of the newest certificate of each profile."""
    found = device.installation.json("device", "show", name)["certificates"]
    return {each["profile"]: each["status"] for each in reversed(found)}


def cmp(
    device: Device,
    command: str,
    *words: str | Path,
    profile: str | None = None,
    secure: bool = False,
    path: str | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `openssl cmp`; answers that a signature protects are trusted under the root."""
    address = device.server.https if secure else device.server.http
    if path is None:
        path = ".well-known/cmp" + (f"/p/{profile}" if profile is not None else "")
    where = ("-path", path) if path else ()
    tls = ("-tls_used", "-tls_trusted", str(device.installation.root)) if secure else ()
    return subprocess.run(
        [
            program("openssl"),
            *("cmp", "-cmd", command, "-server", address, *where, *tls),
            *("-trusted", str(device.installation.root)),
            *map(str, words),
        ],
        capture_output=True,
        check=False,
        cwd=device.folder,
    )


def by_code(reference: str, code: str) -> tuple[str, ...]:
    return ("-ref", reference, "-secret", f"pass:{code}")


def new_key(device: Device, name: str) -> tuple[str | Path, ...]:
    key = make_key(device.folder / f"{name}.key")
    return ("-newkey", key, "-certout", f"{name}.pem")


def by_certificate(name: str) -> tuple[str, ...]:
    return ("-cert", f"{name}.pem", "-key", f"{name}.key")


def succeeded(done: subprocess.CompletedProcess[bytes]) -> bytes:
    said = done.stdout + done.stderr
    assert done.returncode == 0, said.decode(errors="replace")
    return said


def refused(done: subprocess.CompletedProcess[bytes]) -> bytes:
    said = done.stdout + done.stderr
    assert done.returncode != 0, said.decode(errors="replace")
    return said


def certificate(device: Device, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((device.folder / f"{name}.pem").read_bytes())


def enroll(device: Device, name: str) -> None:
    """Get the bootstrap certificate of a new device: NAME.pem and NAME.key."""
    code = new_code(device, name)
    succeeded(
        cmp(device, "ir", *by_code(name, code), *new_key(device, name), "-subject", f"/CN={name}")
    )


def test_cmp_T4_T6_the_line_of_the_first_steps_enrolls_a_device(device: Device) -> None:
    code = new_code(device, "pump-c1")
    words = (*new_key(device, "new"), "-subject", "/CN=pump-c1", "-cacertsout", "ca.pem")
    address = ("-server", f"{device.server.http}/.well-known/cmp")

    said = succeeded(cmp(device, "ir", *by_code("pump-c1", code), *words, *address, path=""))

    assert b"received PKICONF" in said
    found = certificate(device, "new")
    assert found.subject.rfc4514_string() == "CN=pump-c1"
    assert state_of(device, "pump-c1") == "registered"
    authorities = x509.load_pem_x509_certificates((device.folder / "ca.pem").read_bytes())
    root = x509.load_pem_x509_certificate(device.installation.root.read_bytes())
    assert root in authorities
    assert found.issuer in [each.subject for each in authorities]


def test_cmp_H11_implicit_confirmation_is_granted_to_who_asks(device: Device) -> None:
    code = new_code(device, "pump-c2")
    words = (*new_key(device, "new"), "-subject", "/CN=pump-c2", "-implicit_confirm")

    said = succeeded(cmp(device, "ir", *by_code("pump-c2", code), *words))

    assert b"CERTCONF" not in said
    assert state_of(device, "pump-c2") == "registered"


def test_cmp_H11_a_profile_can_insist_on_certconf(device: Device) -> None:
    options = ("--copy", "bootstrap", "--set", "cmp.implicit_confirm=false")
    device.installation.run("profile", "add", "careful", *options)
    code = new_code(device, "pump-c3")
    words = (*new_key(device, "new"), "-subject", "/CN=pump-c3", "-implicit_confirm")

    url = f"http://{device.server.http}/cmp/careful"
    assert within(10, lambda: device.curl(url).status == 405)

    said = succeeded(cmp(device, "ir", *by_code("pump-c3", code), *words, path="cmp/careful"))

    assert b"received PKICONF" in said
    assert statuses_of(device, "pump-c3") == {"careful": "active"}


def test_cmp_H4_P12_openssl_is_taken_by_a_strict_profile_too(device: Device) -> None:
    options = ("--copy", "bootstrap", "--set", "cmp.strict=true")
    device.installation.run("profile", "add", "exact", *options)
    code = new_code(device, "pump-c13")
    words = (*by_code("pump-c13", code), *new_key(device, "exact"))
    url = f"http://{device.server.http}/cmp/exact"
    assert within(10, lambda: device.curl(url).status == 405)

    other_name = refused(cmp(device, "ir", *words, "-subject", "/CN=other", path="cmp/exact"))
    succeeded(cmp(device, "ir", *words, "-subject", "/CN=pump-c13", path="cmp/exact"))
    renewed = cmp(
        device, "kur", *by_certificate("exact"), *new_key(device, "exact2"), path="cmp/exact"
    )

    assert NOT_VERIFIED in other_name
    assert b"received PKICONF" in succeeded(renewed)


@pytest.mark.parametrize("secure", [False, True])
def test_cmp_P4_a_bootstrap_certificate_gets_an_operational_one_and_renews_it(
    device: Device, *, secure: bool
) -> None:
    name = f"pump-c4-{secure}".lower()
    enroll(device, name)

    succeeded(
        cmp(
            device,
            "cr",
            *by_certificate(name),
            *new_key(device, "op"),
            *("-subject", f"/CN={name}"),
            profile="operational",
            secure=secure,
        )
    )
    assert state_of(device, name) == "provisioned"
    succeeded(cmp(device, "kur", *by_certificate("op"), *new_key(device, "op2"), secure=secure))

    found = device.installation.json("device", "show", name)["certificates"]
    operational = [each["status"] for each in found if each["profile"] == "operational"]
    assert sorted(operational) == ["active", "superseded"]
    first, second = certificate(device, "op"), certificate(device, "op2")
    assert first.subject == second.subject
    assert first.public_key() != second.public_key()


def test_p10cr_gets_a_certificate_for_a_pkcs10_request(device: Device) -> None:
    code = new_code(device, "pump-c5")
    key = make_key(device.folder / "p10.key")
    request = make_request(device.folder / "p10.csr", key, subject=("CN=pump-c5",))

    said = succeeded(
        cmp(
            device,
            "p10cr",
            *by_code("pump-c5", code),
            *("-csr", request, "-certout", "p10.pem"),
        )
    )

    assert b"received PKICONF" in said
    assert state_of(device, "pump-c5") == "registered"


@pytest.mark.parametrize("reference", ["pump-c6", "nobody-of-this-name"])
def test_cmp_P2_a_wrong_secret_and_an_unknown_reference_are_refused_alike(
    device: Device, reference: str
) -> None:
    if reference == "pump-c6":
        new_code(device, reference)
    words = (*by_code(reference, "AAAA-BBBB-CCCC-DDDD-EEEE"), *new_key(device, "no"))

    said = refused(cmp(device, "ir", *words, "-subject", f"/CN={reference}"))

    assert NOT_VERIFIED in said
    assert b"The protection of the message cannot be verified." in said
    assert not (device.folder / "no.pem").exists()


def test_cmp_T3_a_disabled_device_is_told_that_it_may_not(device: Device) -> None:
    code = new_code(device, "pump-c7")
    device.installation.run("device", "disable", "pump-c7", "--reason", "stolen")
    words = (*by_code("pump-c7", code), *new_key(device, "no"), "-subject", "/CN=pump-c7")

    said = refused(cmp(device, "ir", *words))

    assert b"PKIFailureInfo: notAuthorized" in said


def test_the_status_says_so_where_names_were_changed(device: Device) -> None:
    code = new_code(device, "pump-c8")
    words = (*by_code("pump-c8", code), *new_key(device, "new"), "-subject", "/CN=wish/O=Mine")

    said = succeeded(cmp(device, "ir", *words))

    assert b"grantedWithMods" in said
    assert certificate(device, "new").subject.rfc4514_string() == "CN=pump-c8"


def test_cmp_H8_a_conversation_that_is_replayed_gets_nothing_new(device: Device) -> None:
    code = new_code(device, "pump-c9")
    words = (*by_code("pump-c9", code), *new_key(device, "new"), "-subject", "/CN=pump-c9")
    succeeded(cmp(device, "ir", *words, "-reqout", "ir.der,cc.der"))
    first = certificate(device, "new")

    cmp(device, "ir", *words, "-reqin", "ir.der,cc.der", "-certout", "again.pem")

    found = device.installation.json("device", "show", "pump-c9")["certificates"]
    assert [each["serial_number"] for each in found] == [f"{first.serial_number:x}"]


@pytest.mark.parametrize(("popo", "told"), [("-1", b"badPOP"), ("0", b"notAuthorized")])
def test_cmp_P17_no_proof_is_none_and_to_vouch_is_for_authorities(
    device: Device, popo: str, told: bytes
) -> None:
    name = f"pump-c10{popo}"
    code = new_code(device, name)
    words = (*by_code(name, code), *new_key(device, "no"), "-subject", f"/CN={name}")

    said = refused(cmp(device, "ir", *words, "-popo", popo))

    assert b"PKIFailureInfo: " + told in said


def test_cmp_H14_an_answer_that_waited_for_a_person(device: Device) -> None:
    installation = device.installation
    installation.run("group", "add", "slow", "--set", "approval=manual")
    installation.run("group", "set", "slow", "--set", "approval_retry_after=1s")
    code = new_code(device, "pump-c11", "--group", "slow")
    words = (*by_code("pump-c11", code), *new_key(device, "new"), "-subject", "/CN=pump-c11")
    waiting = subprocess.Popen(
        [
            program("openssl"),
            *("cmp", "-cmd", "ir", "-server", device.server.http, "-path", ".well-known/cmp"),
            *("-trusted", str(installation.root), "-total_timeout", "60"),
            *map(str, words),
        ],
        cwd=device.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    assert within(20, lambda: bool(installation.json("approval", "list")))
    installation.run("approval", "approve", installation.json("approval", "list")[0]["id"])
    said, _ = waiting.communicate(timeout=60)

    assert waiting.returncode == 0, said.decode(errors="replace")
    assert b"sending POLLREQ" in said
    assert state_of(device, "pump-c11") == "registered"


def test_cmp_T1_T2_T4_what_is_no_cmp_is_told_so_by_http(device: Device) -> None:
    url = f"http://{device.server.http}/.well-known/cmp"
    cmp_type = ("-H", "Content-Type: application/pkixcmp")

    garbage = device.curl(url, *cmp_type, "--data-binary", "abc")
    text = device.curl(url, "-H", "Content-Type: text/plain", "--data-binary", "abc")
    get = device.curl(url)
    unknown = device.curl(f"{url}/nothing", *cmp_type, "--data-binary", "abc")

    assert [each.status for each in (garbage, text, get, unknown)] == [400, 415, 405, 404]


def test_openssl_reads_what_is_sent(device: Device) -> None:
    code = new_code(device, "pump-c12")
    words = (*by_code("pump-c12", code), *new_key(device, "new"), "-subject", "/CN=pump-c12")
    succeeded(cmp(device, "ir", *words, "-rspout", "ip.der,pc.der"))

    outline = openssl("asn1parse", "-inform", "DER", "-in", device.folder / "ip.der")

    assert (
        certificate(device, "new").public_bytes(Encoding.DER)
        in (device.folder / "ip.der").read_bytes()
    )
    assert outline
