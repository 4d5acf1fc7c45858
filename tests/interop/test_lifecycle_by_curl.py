"""A device's whole way by curl, and what it is refused on it."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from tests.support.device import Answer, Device
from tests.support.installation import Installation


def registered(device: Device, name: str) -> x509.Certificate:
    """Register a device and let it fetch its bootstrap certificate."""
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("boot", name), user=f"{name}:{code}")
    assert answer.status == 200, answer.body
    return device.keep("boot", answer.certificate)


def last_finding(installation: Installation) -> str | None:
    finding = installation.json("attempts", "--limit", "1")[0]["finding"]
    return None if finding is None else str(finding)


def test_a_device_goes_from_enrolled_to_registered_to_provisioned(device: Device) -> None:
    added = device.installation.json("device", "add", "pump-1", "--serial", "SN-1")
    assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){4}", added["code"])
    assert added["state"] == "enrolled"

    body = device.request("boot", "anything at all")
    answer = device.post("simpleenroll", body, user=f"pump-1:{added['code']}")

    bootstrap = device.keep("boot", answer.certificate)
    assert bootstrap.subject.rfc4514_string() == "2.5.4.5=SN-1,CN=pump-1"
    names = bootstrap.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [each.value for each in names] == [f"urn:uuid:{added['id']}"]
    assert device.installation.json("device", "show", "pump-1")["state"] == "registered"

    body = device.request("op", "pump-1")
    answer = device.post("operational/simpleenroll", body, certificate="boot")
    operational = device.keep("op", answer.certificate)
    shown = device.installation.json("device", "show", "SN-1")
    assert shown["state"] == "provisioned"
    assert [(each["class"], each["status"]) for each in shown["certificates"]] == [
        ("operational", "active"),
        ("bootstrap", "active"),
    ]

    body = device.renewal_request("op2", operational)
    renewed = device.post("simplereenroll", body, certificate="op").certificate
    assert renewed.serial_number != operational.serial_number
    assert renewed.subject == operational.subject
    statuses = {
        each["serial_number"]: each["status"]
        for each in device.installation.json("device", "show", "pump-1")["certificates"]
    }
    assert statuses[f"{renewed.serial_number:x}"] == "pending_confirm"
    assert statuses[f"{operational.serial_number:x}"] == "active"


def test_lifecycle_T10_a_replacement_takes_over_with_its_first_use(device: Device) -> None:
    first = registered(device, "pump-t10")
    second = device.post(
        "simplereenroll", device.renewal_request("second", first), certificate="boot"
    ).certificate
    device.keep("second", second)

    third = device.post(
        "simplereenroll", device.renewal_request("third", second), certificate="second"
    )

    assert third.status == 200
    statuses = {
        each["serial_number"]: each["status"]
        for each in device.installation.json("device", "show", "pump-t10")["certificates"]
    }
    assert statuses[f"{first.serial_number:x}"] == "superseded"
    assert statuses[f"{second.serial_number:x}"] == "active"
    refused = device.post(
        "simplereenroll", device.renewal_request("again", first), certificate="boot"
    )
    assert refused.status == 403
    assert last_finding(device.installation) == "certificate_superseded"


def test_est_T8_whoever_proves_nothing_gets_one_and_the_same_401(device: Device) -> None:
    code = device.installation.json("device", "add", "pump-t8")["code"]
    other = device.installation.json("device", "add", "pump-t8-other")["code"]
    body = device.request("x", "pump-t8")
    users = [None, "pump-t8:wrong", f"nobody:{code}", f"pump-t8:{other}", "pump-t8:", ":"]

    answers = [device.post("simpleenroll", body, user=user) for user in users]

    for answer in answers:
        assert (answer.status, answer.body) == (401, b"")
        assert 'www-authenticate: basic realm="' in answer.headers.lower()
        assert "content-type: text/plain" in answer.headers.lower()
    assert len({_without_id(answer) for answer in answers}) == 1
    findings = [
        each["finding"] for each in device.installation.json("attempts", "--denied")[: len(users)]
    ]
    assert findings == [
        "identity_unknown",
        "code_wrong",
        "code_wrong",
        "identity_unknown",
        "code_wrong",
        "no_credential",
    ]
    assert device.post("simpleenroll", body, user=f"pump-t8:{code}").status == 200


def test_interface_a_code_is_taken_without_hyphens_and_in_lower_case(device: Device) -> None:
    code = device.installation.json("device", "add", "pump-lower")["code"]

    answer = device.post(
        "simpleenroll",
        device.request("x", "pump-lower"),
        user=f"pump-lower:{code.replace('-', '').lower()}",
    )

    assert answer.status == 200


def test_est_E5_a_repeated_request_gets_the_same_certificate(device: Device) -> None:
    code = device.installation.json("device", "add", "pump-e5")["code"]
    body = device.request("boot", "pump-e5")
    user = f"pump-e5:{code}"

    first = device.post("simpleenroll", body, user=user)
    again = device.post("simpleenroll", body, user=user)
    resigned = device.post("simpleenroll", device.request("re", "x", key="boot"), user=user)
    other_key = device.post("simpleenroll", device.request("other", "pump-e5"), user=user)

    assert first.status == again.status == resigned.status == 200
    assert first.certificate == again.certificate == resigned.certificate
    assert (other_key.status, other_key.body) == (401, b"")
    assert last_finding(device.installation) == "code_reused"
    assert len(device.installation.json("certificate", "list", "--device", "pump-e5")) == 1


def test_security_E1_one_code_used_by_many_at_once_yields_one_certificate(device: Device) -> None:
    code = device.installation.json("device", "add", "pump-e1")["code"]
    bodies = [device.request(f"k{number}", "pump-e1") for number in range(24)]
    devices = []
    for number in range(24):
        folder = device.folder / f"d{number}"
        folder.mkdir()
        devices.append(
            Device(folder=folder, installation=device.installation, server=device.server)
        )

    def enroll(number: int) -> int:
        user = f"pump-e1:{code}"
        return devices[number].post("simpleenroll", bodies[number], user=user).status

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(enroll, range(24)))

    assert sorted(statuses) == [200] + [401] * 23
    assert len(device.installation.json("certificate", "list", "--device", "pump-e1")) == 1


def test_security_C5_two_devices_never_share_a_key(device: Device) -> None:
    registered(device, "pump-c5a")
    code = device.installation.json("device", "add", "pump-c5b")["code"]

    answer = device.post(
        "simpleenroll", device.request("x", "pump-c5b", key="boot"), user=f"pump-c5b:{code}"
    )

    assert answer.status == 403
    assert b"publicKey" not in answer.body or answer.body.count(b"\n") == 1
    assert last_finding(device.installation) == "key_reuse"
    assert device.installation.json("device", "show", "pump-c5b")["state"] == "enrolled"


def test_lifecycle_T15_a_disabled_device_is_refused_until_enabled(device: Device) -> None:
    certificate = registered(device, "pump-t15")
    device.installation.run("device", "disable", "pump-t15", "--reason", "stolen")
    body = device.renewal_request("next", certificate)

    refused = device.post("simplereenroll", body, certificate="boot")

    assert refused.status == 403
    assert re.fullmatch(rb"[^\n]+[0-9a-f]{16}[^\n]*\n?", refused.body)
    assert last_finding(device.installation) == "device_disabled"
    shown = device.installation.json("device", "show", "pump-t15")
    assert (shown["status"], shown["certificates"][0]["status"]) == ("disabled", "on_hold")
    device.installation.run("device", "enable", "pump-t15", "--reason", "found")
    assert device.post("simplereenroll", body, certificate="boot").status == 200


def test_lifecycle_T23_a_reset_device_begins_again(device: Device) -> None:
    certificate = registered(device, "pump-t23")
    added = device.installation.json("device", "reset", "pump-t23", "--reason", "repair", "--yes")
    assert added["state"] == "enrolled"

    old = device.post(
        "simplereenroll", device.renewal_request("n", certificate), certificate="boot"
    )
    new = device.post(
        "simpleenroll", device.request("b2", "pump-t23"), user=f"pump-t23:{added['code']}"
    )

    assert old.status == 403
    assert new.status == 200
    assert device.installation.json("device", "show", "pump-t23")["state"] == "registered"


def test_lifecycle_T24_revoking_what_is_required_takes_a_step_back(device: Device) -> None:
    registered(device, "pump-t24")
    answer = device.post(
        "operational/simpleenroll", device.request("op", "pump-t24"), certificate="boot"
    )
    operational = device.keep("op", answer.certificate)
    serial = f"{operational.serial_number:X}"

    device.installation.run("certificate", "revoke", serial, "--reason", "keyCompromise", "--yes")

    assert device.installation.json("device", "show", "pump-t24")["state"] == "registered"
    refused = device.post(
        "simplereenroll", device.renewal_request("n", operational), certificate="op"
    )
    assert refused.status == 403
    again = device.post(
        "operational/simpleenroll",
        device.request("same", "pump-t24", key="op"),
        certificate="boot",
    )
    assert again.status == 403
    assert last_finding(device.installation) == "key_compromised"


@pytest.mark.parametrize("wanted", ["pump-t2-other", "pump-t2-OTHER"])
def test_security_T2_a_request_that_names_another_device(device: Device, wanted: str) -> None:
    if wanted == "pump-t2-other":
        device.installation.run("device", "add", "pump-t2-other", "--no-code")
    name = f"pump-t2-{'lower' if wanted.islower() else 'upper'}"
    code = device.installation.json("device", "add", name)["code"]

    answer = device.post("simpleenroll", device.request("x", wanted), user=f"{name}:{code}")

    if wanted == "pump-t2-other":
        assert answer.status == 403
        assert last_finding(device.installation) == "identity_conflict"
    else:
        assert answer.certificate.subject.rfc4514_string() == f"CN={name}"


def test_est_E6_a_renewal_may_not_change_its_names(device: Device) -> None:
    registered(device, "pump-e6")

    refused = device.post("simplereenroll", device.request("n", "someone else"), certificate="boot")

    assert refused.status == 403
    assert b"subject" in refused.body
    assert last_finding(device.installation) == "name_changed"


def test_est_E7_a_renewal_with_the_same_key_is_the_profiles_choice(device: Device) -> None:
    registered(device, "pump-e7")
    body = device.request("same", "pump-e7", key="boot")

    refused = device.post("simplereenroll", body, certificate="boot")

    assert refused.status == 403
    assert last_finding(device.installation) == "key_reused"


def test_est_E8_what_does_not_renew(device: Device) -> None:
    bootstrap = registered(device, "pump-e8")
    body = device.renewal_request("n", bootstrap)

    nothing = device.post("simplereenroll", body)
    wrong_slot = device.post("operational/simplereenroll", body, certificate="boot")

    assert nothing.status == 403
    assert wrong_slot.status == 403
    assert last_finding(device.installation) == "wrong_certificate_for_slot"


def test_lifecycle_T12_only_a_fresh_code_re_enrolls_a_registered_device(device: Device) -> None:
    added = device.installation.json("device", "add", "pump-t12", "--uses", "2")
    user = f"pump-t12:{added['code']}"
    assert device.post("simpleenroll", device.request("a", "pump-t12"), user=user).status == 200

    stale = device.post("simpleenroll", device.request("b", "pump-t12"), user=user)
    fresh_code = device.installation.json("device", "code", "pump-t12")["code"]
    fresh = device.post(
        "simpleenroll", device.request("c", "pump-t12"), user=f"pump-t12:{fresh_code}"
    )

    assert stale.status == 403
    assert fresh.status == 200


def _without_id(answer: Answer) -> str:
    return re.sub(r'(?im)^(x-request-id|date):.*$|nonce="[^"]*"', "", answer.headers)


def test_what_relying_parties_fetch_is_served(device: Device, installation: Installation) -> None:
    http = f"http://{device.server.http}"

    crl = x509.load_der_x509_crl(device.curl(f"{http}/crl/issuing.crl").body)
    issuing = x509.load_der_x509_certificate(device.curl(f"{http}/ca/issuing.crt").body)
    roots = device.curl(f"{http}/roots.pem").body

    assert crl.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]  # a CA's key
    assert x509.load_pem_x509_certificate(roots) == x509.load_pem_x509_certificate(
        installation.root.read_bytes()
    )
    assert device.curl(f"{http}/crl/nobody.crl").status == 404
    est = device.curl(f"{http}/.well-known/est/cacerts")
    assert est.status == 404, "EST is never served without TLS"


def test_est_C1_cacerts_holds_root_and_issuing_ca(device: Device) -> None:
    answer = device.curl(f"{device.server.est}/cacerts")
    chain = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.body))

    assert answer.status == 200
    issuing, root = sorted(chain, key=lambda each: each.issuer == each.subject)
    assert len(chain) == 2
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
