"""A registration authority in a factory: appointed by the command line, at work by curl."""

from base64 import b64decode

from tests.support.device import Device
from tests.support.waiting import within


def test_est_T15_a_registration_authority_enrolls_and_renews_for_devices(device: Device) -> None:
    installation = device.installation
    installation.run("group", "add", "line-2")
    installation.run(
        "profile",
        "add",
        "factory",
        "--copy",
        "bootstrap",
        "--set",
        "initial_credentials=ra",
        "--set",
        "renewal_credentials=ra",
    )
    station = device.request("station", "Factory Station")
    out = str(device.folder / "station.pem")
    csr = device.folder / "station.der"
    csr.write_bytes(b64decode(station.read_bytes()))
    appointed = installation.json(
        "trust", "appoint", "station", "--csr", str(csr), "--out", out, "--group", "line-2"
    )
    assert (appointed["name"], appointed["groups"]) == ("station", ["line-2"])
    installation.run("device", "add", "unit-1", "--group", "line-2", "--no-code")
    installation.run("device", "add", "unit-2", "--no-code")
    served = f"{device.server.est}/factory/cacerts"
    assert within(5, lambda: device.curl(served).status == 200)

    body = device.request("unit-1", "unit-1")
    plain = device.post("factory/simpleenroll", body)
    first = device.post("factory/simpleenroll", body, certificate="station")
    foreign = device.post(
        "factory/simpleenroll", device.request("unit-2", "unit-2"), certificate="station"
    )

    assert (plain.status, foreign.status, first.status) == (403, 403, 200)
    assert first.certificate.subject.rfc4514_string() == "CN=unit-1"
    attempts = installation.json("attempts", "--limit", "2")
    assert [each["registration_authority"] for each in attempts] == ["station", "station"]
    assert attempts[0]["finding"] == "ra_of_other_groups"

    renewal = device.renewal_request("unit-1b", first.certificate)
    renewed = device.post("factory/simplereenroll", renewal, certificate="station")

    assert renewed.status == 200
    assert renewed.certificate.subject == first.certificate.subject

    serial = appointed["serial_number"]
    installation.run("certificate", "revoke", serial, "--reason", "keyCompromise", "--yes")
    again = device.post("factory/simpleenroll", body, certificate="station")

    assert (again.status, installation.json("attempts", "--limit", "1")[0]["finding"]) == (
        403,
        "certificate_revoked",
    )
