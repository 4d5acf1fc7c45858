"""REST on the management listener, by curl: what an MDM system does to fetch a code."""

import json

from tests.support.device import Device


def test_lifecycle_SM10_a_code_fetched_over_rest_enrolls_its_device(device: Device) -> None:
    name = "pump-rest"
    registered = device.installation.json("device", "add", name, "--no-code")
    key = device.installation.json("key", "add", "mdm", "--role", "integration")["key"]
    header = device.folder / "key.header"
    header.write_text(f"Authorization: Bearer {key}\n")
    address = (
        f"https://{device.server.management}/api/v1/devices/{registered['id']}/enrollment-codes"
    )

    refused = device.curl(address, "-X", "POST")
    fetched = device.curl(address, "-X", "POST", "-H", f"@{header}")

    assert refused.status == 401
    assert fetched.status == 201
    code = json.loads(fetched.body)["code"]
    enrolled = device.post("simpleenroll", device.request("rest", name), user=f"{name}:{code}")
    assert enrolled.status == 200


def test_a_certificate_is_stopped_over_rest(device: Device) -> None:
    name = "pump-rest-2"
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("stop", name), user=f"{name}:{code}")
    device.keep("stop", answer.certificate)
    key = device.installation.json("key", "add", "desk", "--role", "device-admin")["key"]
    header = device.folder / "desk.header"
    header.write_text(f"Authorization: Bearer {key}\nContent-Type: application/json\n")
    serial = f"{answer.certificate.serial_number:x}"
    address = f"https://{device.server.management}/api/v1/certificates/{serial}"

    held = device.curl(f"{address}:hold", "-X", "POST", "-H", f"@{header}")
    revoked = device.curl(
        f"{address}:revoke", "-H", f"@{header}", "--data", '{"reason": "superseded"}'
    )
    again = device.post(
        "simplereenroll", device.renewal_request("no", answer.certificate), certificate="stop"
    )

    assert (held.status, json.loads(held.body)["status"]) == (200, "on_hold")
    assert (revoked.status, json.loads(revoked.body)["status"]) == (200, "revoked")
    assert again.status == 403
