"""A request that waits for a person, and a server that is stopped meanwhile."""

from pathlib import Path

from tests.support.device import Device
from tests.support.installation import Installation


def test_est_E11_another_server_finds_the_order_of_the_one_before(
    installation: Installation, tmp_path: Path
) -> None:
    settings = ("approval=manual", "renewal_approval=manual")
    installation.run("group", "set", "default", *settings)
    user = f"pump-1:{installation.json('device', 'add', 'pump-1')['code']}"
    with installation.serve() as server:
        device = Device(folder=tmp_path, installation=installation, server=server)
        before = device.post("simpleenroll", device.request("boot", "pump-1"), user=user)
    (order,) = installation.json("approval", "list")

    with installation.serve() as server:
        device = Device(folder=tmp_path, installation=installation, server=server)
        after = device.post("simpleenroll", device.request("boot", "pump-1"), user=user)
        same = installation.json("approval", "list")
        installation.run("approval", "approve", order["id"])
        issued = device.post("simpleenroll", device.request("boot", "pump-1"), user=user)
        certificate = device.keep("boot", issued.certificate)
        renewal = device.post(
            "simplereenroll", device.renewal_request("next", certificate), certificate="boot"
        )

    assert (before.status, after.status) == (202, 202)
    assert same == [order]
    assert renewal.status == 202
