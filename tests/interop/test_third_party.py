"""A device with a factory certificate enrolls by mTLS without a code; nobody else does.

The chains are openssl's (`openssl-fixtures/devices`), the connections curl's. The maker is
registered by its root; all its certificates are of the device with serial number SN-00817.
"""

import shutil
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509

from tests.architecture.source import ROOT
from tests.support.device import Answer, Device
from tests.support.installation import Installation, Running

pytestmark = pytest.mark.interop

MAKER = ROOT / "openssl-fixtures" / "devices"
KEY = ROOT / "openssl-fixtures" / "keys" / "idevid.pem"


@dataclass(frozen=True, slots=True)
class Factory:
    """A device as it left the factory, at an installation that knows its maker."""

    device: Device

    @property
    def installation(self) -> Installation:
        return self.device.installation

    def enroll(
        self,
        leaf: str,
        *above: str,
        subject: str = "anything",
        operation: str = "simpleenroll",
        name: str = "boot",
    ) -> Answer:
        """Ask for a certificate, showing a fixture and those above it in the handshake."""
        chain = b"".join((MAKER / f"{each}.pem").read_bytes() for each in (leaf, *above))
        (self.device.folder / "factory.pem").write_bytes(chain)
        shutil.copy(KEY, self.device.folder / "factory.key")
        body = self.device.request(name, subject)
        return self.device.post(operation, body, certificate="factory")

    def finding(self) -> str:
        return str(self.installation.json("attempts", "--limit", "1")[0]["finding"])

    def shown(self) -> Any:
        return self.installation.json("device", "show", "pump-1")


@pytest.fixture(scope="module")
def maker(installation: Installation, server: Running) -> Any:
    """Register the maker and one device of it, without a code."""
    del server
    installation.run("device", "add", "pump-1", "--serial", "SN-00817", "--no-code")
    installation.run("device", "add", "pump-2", "--serial", "SN-00818", "--no-code")
    root = str(MAKER / "maker-root.pem")
    return installation.json("trust", "add", root, "--purpose", "idevid", "--name", "maker")


@pytest.fixture
def factory(device: Device, maker: Any) -> Factory:
    del maker
    return Factory(device)


@pytest.mark.parametrize(
    ("chain", "finding", "detail"),
    [
        (["idevid"], "chain_incomplete", "CN=Example Works Devices"),
        (["idevid", "stranger-root"], "chain_incomplete", "CN=Example Works Devices"),
        (["idevid-expired", "maker-intermediate"], "certificate_expired", "2026-01-01"),
        (["idevid-future", "maker-intermediate"], "certificate_not_yet_valid", "2999-01-01"),
        (["idevid-server", "maker-intermediate"], "certificate_purpose", "TLS clients"),
        (["stranger-idevid", "stranger-root"], "signature_wrong", "did not sign"),
        (["stranger-idevid"], "signature_wrong", "did not sign"),
        (["idevid-no-serial", "maker-intermediate"], "identity_unknown", "hw_module_name"),
    ],
    ids=lambda each: each if isinstance(each, str) else "+".join(each),
)
def test_a_factory_certificate_that_is_not_good_is_refused_with_the_reason(
    factory: Factory, chain: list[str], finding: str, detail: str
) -> None:
    answer = factory.enroll(*chain)

    attempt = factory.installation.json("attempts", "--denied", "--limit", "1")[0]
    assert answer.status in {401, 403}
    assert (attempt["finding"], attempt["profile"]) == (finding, None)
    assert detail in attempt["detail"]
    assert [each["passed"] for each in attempt["trace"]][-1] is False
    assert finding.encode() not in answer.body


def test_est_T7_who_shows_an_expired_factory_certificate_is_told_so(factory: Factory) -> None:
    answer = factory.enroll("idevid-expired", "maker-intermediate")

    assert answer.status == 403
    assert answer.body.startswith(b"The client certificate has expired.")


def test_a_factory_certificate_counts_only_while_its_maker_is_registered(factory: Factory) -> None:
    factory.installation.run("trust", "set", "maker", "blocked=true")

    blocked = factory.enroll("idevid", "maker-intermediate")

    assert (blocked.status, factory.finding()) == (401, "anchor_blocked")
    factory.installation.run("trust", "set", "maker", "blocked=false")


def test_est_T19_a_profile_that_takes_no_factory_certificate_says_so(factory: Factory) -> None:
    answer = factory.enroll("idevid", "maker-intermediate", operation="operational/simpleenroll")

    assert (answer.status, factory.finding()) == (403, "credential_not_sufficient")


def test_a_device_goes_from_its_factory_certificate_to_provisioned_without_a_code(
    factory: Factory,
) -> None:
    """The whole of it, in the order in which it happens to one device."""
    other_device = factory.enroll("idevid", "maker-intermediate", subject="pump-2")
    assert (other_device.status, factory.finding()) == (403, "identity_conflict")
    assert factory.shown()["state"] == "enrolled"

    answer = factory.enroll("idevid", "maker-intermediate", subject="Pump")

    bootstrap = factory.device.keep("boot", answer.certificate)
    assert bootstrap.subject.rfc4514_string() == "2.5.4.5=SN-00817,CN=pump-1"
    shown = factory.shown()
    assert shown["state"] == "registered"
    kept = {each["class"]: each for each in shown["certificates"]}
    idevid = x509.load_pem_x509_certificate((MAKER / "idevid.pem").read_bytes())
    assert kept["third_party"]["serial_number"] == f"{idevid.serial_number:x}"
    pinned = [each for each in shown["identities"] if each["kind"] == "idevid_cert_sha256"]
    assert pinned == [{"kind": "idevid_cert_sha256", "value": kept["third_party"]["fingerprint"]}]

    body = factory.device.request("op", "pump-1")
    operational = factory.device.post("operational/simpleenroll", body, certificate="boot")
    assert operational.status == 200
    assert factory.shown()["state"] == "provisioned"

    again = factory.enroll("idevid", "maker-intermediate", name="after-reset")
    assert again.status == 200, "T-12: a factory reset is allowed with the pinned IDevID"

    clone = factory.enroll("idevid-by-root", name="clone")
    assert (clone.status, factory.finding()) == (403, "clone_suspected")

    renewal = factory.enroll("idevid", "maker-intermediate", operation="simplereenroll")
    assert (renewal.status, factory.finding()) == (403, "credential_not_sufficient")

    chain = str(MAKER / "maker-intermediate.pem")
    factory.installation.run("trust", "set", "maker", "--intermediates", chain)
    assert factory.enroll("idevid", name="short").status == 200, "completed from our own store"
    factory.installation.run("trust", "remove", "maker", "--yes")
    root = str(MAKER / "maker-root.pem")
    factory.installation.run("trust", "add", root, "--purpose", "idevid", "--name", "maker")

    serial = kept["third_party"]["serial_number"]
    why = ("--reason", "keyCompromise", "--yes")
    factory.installation.run("certificate", "revoke", serial, *why)
    revoked = factory.enroll("idevid", "maker-intermediate", name="revoked")
    assert (revoked.status, factory.finding()) == (401, "certificate_revoked")
    assert factory.shown()["state"] == "provisioned", "what it has from here stays good"
