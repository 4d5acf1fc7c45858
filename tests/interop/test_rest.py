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
