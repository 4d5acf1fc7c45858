"""A rollover in a running server: clients of the old root and of the new chain at every step."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from server.home import Home
from tests.support.device import Device
from tests.support.installation import Installation, Running
from tests.support.lint import check_certificate, check_home
from tests.support.openssl import (
    make_key,
    make_request,
    openssl,
    pkcs7_certificates,
    program,
    verify_chain,
)
from tests.support.postgresql import DATABASES, database_options
from tests.support.waiting import within

SOON = 5.0
"""Within a second is promised; a busy machine gets more."""

MEETINGS = 6
"""How many connections in a row are taken to have met every worker."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """An installation that is served throughout, and what its devices were given."""

    installation: Installation
    server: Running
    folder: Path
    leaves: dict[str, Path] = field(default_factory=dict)

    @property
    def device(self) -> Device:
        return Device(folder=self.folder, installation=self.installation, server=self.server)

    def step(self, *words: str) -> dict[str, object]:
        found: dict[str, object] = self.installation.json("issuer", "rollover", *words)
        return found

    def anchor(self, name: str) -> Path:
        return self.installation.home / "ca" / f"{name}.pem"

    def enroll(self, name: str, anchor: Path) -> x509.Certificate:
        """Enroll a new device twice, as its code and then its certificate let it."""
        code = self.installation.json("device", "add", name)["code"]
        trust = ("--cacert", str(anchor))
        body = self.device.request(f"{name}-boot", name)
        boot = self.device.post("simpleenroll", body, user=f"{name}:{code}", options=trust)
        assert boot.status == 200, boot.body
        self.device.keep(f"{name}-boot", boot.certificate)
        body = self.device.request(f"{name}-op", name)
        operational = self.device.post(
            "operational/simpleenroll", body, certificate=f"{name}-boot", options=trust
        )
        assert operational.status == 200, operational.body
        return self._keep(f"{name}-op", operational.certificate)

    def renew(self, held: str, name: str, anchor: Path) -> x509.Certificate:
        """Renew with the certificate that is held, under the name of another file."""
        certificate = x509.load_pem_x509_certificate(self.leaves[held].read_bytes())
        body = self.device.renewal_request(name, certificate)
        answer = self.device.post(
            "simplereenroll", body, certificate=held, options=("--cacert", str(anchor))
        )
        assert answer.status == 200, answer.body
        return self._keep(name, answer.certificate)

    def ca_certificates(self, label: str = "") -> list[x509.Certificate]:
        """Fetch /cacerts, and read it by openssl."""
        body = self.device.curl(f"{self.server.est}{label}/cacerts", *self._trust_all()).body
        return x509.load_pem_x509_certificates(pkcs7_certificates(b64decode(body)))

    def published(self, path: str) -> bytes:
        return self.device.curl(f"http://{self.server.http}{path}").body

    def has_lists_of(self, *names: str) -> bool:
        return all(self.published(f"/crl/{name}.crl").startswith(b"\x30") for name in names)

    def between(self) -> Path:
        """Keep what /cacerts holds but for the self-signed.

        Those mean nothing to whom they are no anchor (RFC 7030 §4.1.3), and openssl tries no second
        issuer if it meets such a one first.
        """
        return self._pem(
            "between.pem", [each for each in self.ca_certificates() if not is_self_signed(each)]
        )

    def check_everybody(self, *anchors: str) -> None:
        """Let openssl verify every leaf for each anchor alone, with /cacerts for the rest."""
        between = self.between()
        assert self.leaves
        for name in anchors:
            for leaf in self.leaves.values():
                found = verify_chain(
                    leaf, self.anchor(name), between=[between], purpose="sslclient"
                )
                assert found.ok, (name, leaf.name, found.words)
            answer = self.device.curl(
                f"{self.server.est}/cacerts", "--cacert", str(self.anchor(name))
            )
            assert answer.status == 200

    def shown(self) -> x509.Certificate:
        """Give the server's TLS certificate."""
        return self.chain_shown()[0]

    def chain_shown(self) -> list[x509.Certificate]:
        found = openssl("s_client", "-connect", self.server.https, "-showcerts", given=b"")
        return x509.load_pem_x509_certificates(found)

    def _trust_all(self) -> Sequence[str]:
        pems = [each.read_bytes() for each in (self.installation.home / "ca").glob("root*.pem")]
        (self.folder / "all.pem").write_bytes(b"".join(pems))
        return ("--cacert", str(self.folder / "all.pem"))

    def _pem(self, name: str, certificates: Sequence[x509.Certificate]) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
        return path

    def _keep(self, name: str, certificate: x509.Certificate) -> x509.Certificate:
        self.device.keep(name, certificate)
        self.leaves[name] = self.folder / f"{name}.pem"
        return certificate


def everywhere(holds: Callable[[], bool]) -> bool:
    """Wait until it holds whichever worker is met: connections go to one of them by chance."""
    return within(SOON, lambda: all(holds() for _ in range(MEETINGS)))


def common_name(certificate: x509.Certificate, *, issuer: bool = False) -> str:
    name = certificate.issuer if issuer else certificate.subject
    return str(name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def by(certificate: x509.Certificate) -> str:
    return common_name(certificate, issuer=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_est_C2_clients_of_either_root_chain_and_enroll_at_every_step(
    tmp_path: Path, workers: str
) -> None:
    installation = Installation.initialize(tmp_path / "home")
    (tmp_path / "device").mkdir()
    serving = () if workers == "1" else ("--workers", workers)
    with installation.serve(*serving) as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path / "device")
        old = walk.anchor("root")
        assert by(walk.enroll("before", old)) == "Test Issuing CA"
        walk.check_everybody("root")
        at_first = walk.ca_certificates()

        assert walk.step("prepare")["phase"] == "prepared"
        new = walk.anchor("root-2")
        assert walk.ca_certificates() == at_first, "nobody sees what is only prepared"
        walk.check_everybody("root")

        assert walk.step("publish")["phase"] == "published"
        assert everywhere(lambda: len(walk.ca_certificates()) == 6)
        assert everywhere(lambda: len(walk.chain_shown()) == 3)
        assert by(walk.enroll("meanwhile", new)) == "Test Issuing CA"
        walk.renew("before-op", "before-again", new)
        walk.check_everybody("root", "root-2")

        assert walk.step("activate")["phase"] == "activated"
        assert everywhere(lambda: by(walk.shown()) == "Test Issuing CA 2")
        assert within(
            SOON, lambda: {by(walk.shown()) for _ in range(6)} == {"Test Issuing CA 2"}
        ), "every worker shows it"
        for anchor in (old, new):
            assert by(walk.enroll(f"after-{anchor.stem}", anchor)) == "Test Issuing CA 2"
        assert by(walk.renew("before-again", "before-renewed-old", old)) == "Test Issuing CA 2"
        assert by(walk.renew("meanwhile-op", "meanwhile-renewed", new)) == "Test Issuing CA 2"
        walk.check_everybody("root", "root-2")
        assert len(walk.ca_certificates()) == 6

        refused = installation.call("issuer", "rollover", "retire", "--yes")
        assert refused.returncode == 4
        assert "of the old CA are in use" in refused.stderr
        assert "--abandon" in refused.stderr
        walk.check_everybody("root", "root-2")

        assert walk.step("retire", "--abandon", "--yes")["phase"] == "settled"
        assert everywhere(lambda: len(walk.ca_certificates()) == 2)
        assert everywhere(lambda: len(walk.chain_shown()) == 2)
        refused_body = walk.device.renewal_request("late", walk.shown())
        late = walk.device.post(
            "simplereenroll",
            refused_body,
            certificate="before-boot",
            options=("--cacert", str(new)),
        )
        assert late.status == 403
        assert by(walk.renew("after-root-op", "last", new)) == "Test Issuing CA 2"
        walk.leaves = {"last": walk.leaves["last"]}
        walk.check_everybody("root-2")
    check_home(Home(installation.home))
    assert installation.call("audit", "verify").returncode == 0


def test_est_C2_cacerts_holds_both_roots_and_each_by_the_other_for_every_label(
    tmp_path: Path,
) -> None:
    """RFC 7030 §4.1.3: OldWithOld, OldWithNew, NewWithOld, beside NewWithNew."""
    installation = Installation.initialize(tmp_path / "home")
    installation.run("issuer", "rollover", "prepare")
    installation.run("issuer", "rollover", "publish")
    with installation.serve() as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path)

        found = walk.ca_certificates()

        for label in ("/bootstrap", "/operational"):
            assert walk.ca_certificates(label) == found
        roots = [each for each in found if common_name(each) == "Test Root CA"]
        issuing = {common_name(each) for each in found} - {"Test Root CA"}
        old, new = (
            x509.load_pem_x509_certificate(walk.anchor(name).read_bytes())
            for name in ("root", "root-2")
        )
        assert issuing == {"Test Issuing CA", "Test Issuing CA 2"}
        signed = {
            (certified, signer)
            for each in roots
            for certified, key in (("old", old), ("new", new))
            for signer, above in (("old", old), ("new", new))
            if each.public_key() == key.public_key() and _is_signed_by(each, above)
        }
        assert len(roots) == 4
        assert signed == {("old", "old"), ("old", "new"), ("new", "old"), ("new", "new")}
        for each in found:
            check_certificate(each.public_bytes(Encoding.DER))


def is_self_signed(certificate: x509.Certificate) -> bool:
    return _is_signed_by(certificate, certificate)


def _is_signed_by(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(above)
    except Exception:  # noqa: BLE001 - whatever it says, it is not
        return False
    return True


def test_est_C2_relying_parties_find_lists_and_certificates_of_old_and_new(
    tmp_path: Path,
) -> None:
    """The addresses in certificates lead somewhere as long as the certificates are valid."""
    installation = Installation.initialize(tmp_path / "home")
    with installation.serve() as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path)
        walk.enroll("before", walk.anchor("root"))
        for step in ("prepare", "publish", "activate"):
            walk.step(step)
        assert everywhere(lambda: by(walk.shown()) == "Test Issuing CA 2")
        walk.enroll("after", walk.anchor("root-2"))
        names = ("root", "issuing", "root-2", "issuing-2")

        assert within(
            SOON, lambda: all(walk.published(f"/crl/{name}.crl")[:1] == b"0" for name in names)
        )
        roots = x509.load_pem_x509_certificates(walk.published("/roots.pem"))
        lists = tmp_path / "lists.pem"
        lists.write_bytes(
            b"".join(
                x509.load_der_x509_crl(walk.published(f"/crl/{name}.crl")).public_bytes(
                    Encoding.PEM
                )
                for name in names
            )
        )
        between = walk.between()
        for anchor in ("root", "root-2"):
            for leaf in walk.leaves.values():
                found = verify_chain(
                    leaf,
                    walk.anchor(anchor),
                    between=[between],
                    options=("-crl_check_all", "-CRLfile", str(lists)),
                )
                assert found.ok, found.words
        assert [each.public_key() for each in roots] == [
            x509.load_pem_x509_certificate(walk.anchor(name).read_bytes()).public_key()
            for name in ("root-2", "root")
        ]
        for name in names:
            certificate = x509.load_der_x509_certificate(walk.published(f"/ca/{name}.crt"))
            bundle = pkcs7.load_der_pkcs7_certificates(walk.published(f"/ca/{name}.p7c"))
            assert certificate in bundle

        serial = walk.leaves["before-op"]
        number = x509.load_pem_x509_certificate(serial.read_bytes()).serial_number
        installation.run("certificate", "revoke", f"{number:x}", "--reason", "superseded", "--yes")
        walk.step("retire", "--abandon", "--yes")

        def is_listed() -> bool:
            crl = x509.load_der_x509_crl(walk.published("/crl/issuing.crl"))
            return crl.get_revoked_certificate_by_serial_number(number) is not None

        assert everywhere(is_listed), "the lists of a retired CA go on"
        only = [x509.load_pem_x509_certificate(walk.anchor("root-2").read_bytes())]
        assert within(
            SOON,
            lambda: x509.load_pem_x509_certificates(walk.published("/roots.pem")) == only,
        )


def test_est_C2_strongswan_enrolls_whichever_roots_it_knows(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    for step in ("prepare", "publish", "activate"):
        installation.run("issuer", "rollover", step)
    with installation.serve() as server:
        issuing = [installation.home / "ca" / f"{name}.pem" for name in ("issuing", "issuing-2")]
        for roots in (("root",), ("root-2",), ("root", "root-2")):
            name = "swan-" + "-and-".join(roots)
            code = installation.json("device", "add", name)["code"]
            key, csr = tmp_path / f"{name}.key", tmp_path / f"{name}.der"
            make_request(csr, make_key(key), subject=(f"CN={name}",))
            anchors = [installation.home / "ca" / f"{root}.pem" for root in roots]

            found = subprocess.run(
                [
                    *(program("pki"), "--est", "--url", f"https://{server.https}"),
                    *(word for each in (*anchors, *issuing) for word in ("--cacert", str(each))),
                    *("--in", str(csr), "--outform", "pem", "--userpass", f"{name}:{code}"),
                ],
                capture_output=True,
                check=False,
            )

            assert found.returncode == 0, (roots, found.stderr.decode(errors="replace"))
            assert by(x509.load_pem_x509_certificate(found.stdout)) == "Test Issuing CA 2"


def test_openssl_trusts_signed_answers_of_cmp_whichever_root_it_knows(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    for step in ("prepare", "publish"):
        installation.run("issuer", "rollover", step)
    with installation.serve() as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path)
        for root in ("root", "root-2"):
            walk.enroll(f"pump-{root}", walk.anchor(root))
            key = make_key(tmp_path / f"{root}.key")
            found = subprocess.run(
                [
                    *(program("openssl"), "cmp", "-cmd", "kur"),
                    *("-server", server.http, "-path", ".well-known/cmp"),
                    *("-cert", f"pump-{root}-boot.pem", "-key", f"pump-{root}-boot.key"),
                    *("-newkey", key, "-certout", f"{root}-new.pem"),
                    *("-trusted", walk.anchor(root)),
                ],
                capture_output=True,
                check=False,
                cwd=tmp_path,
            )

            assert found.returncode == 0, (root, found.stderr.decode(errors="replace"))


@pytest.mark.parametrize("database", DATABASES)
def test_a_new_issuing_ca_under_the_same_root(tmp_path: Path, database: str) -> None:
    with database_options(database) as options:
        a_new_issuing_ca_under_the_same_root(Installation.initialize(tmp_path / "home", *options))


def a_new_issuing_ca_under_the_same_root(installation: Installation) -> None:
    tmp_path = installation.home.parent
    with installation.serve() as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path)
        walk.enroll("before", walk.anchor("root"))

        for step in (("prepare", "--keep-root", "--key-algorithm", "p-384"), ("publish",)):
            walk.step(*step)
        assert everywhere(lambda: len(walk.ca_certificates()) == 3)
        walk.check_everybody("root")
        walk.step("activate")
        assert everywhere(lambda: by(walk.shown()) == "Test Issuing CA 2")

        walk.enroll("after", walk.anchor("root"))
        walk.renew("before-op", "before-renewed", walk.anchor("root"))
        walk.check_everybody("root")
        events = [json.loads(line) for line in installation.run("audit", "export").splitlines()]
        told = [
            (each["name"], json.loads(each["facts"])["issuer"])
            for each in events
            if str(each["name"]).startswith("issuer.") and "crl" not in str(each["name"])
        ]
        assert told == [
            ("issuer.prepared", "issuing-2"),
            ("issuer.published", "issuing-2"),
            ("issuer.activated", "issuing"),
            ("issuer.activated", "issuing-2"),
        ]
        # One for bootstrap, and one whose replacement has not been used yet.
        assert walk.step("status")["certificates_of_the_old"] == 2
        assert installation.call("issuer", "rollover", "retire", "--yes").returncode == 4


def test_a_second_rollover_follows_the_first(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    with installation.serve() as server:
        walk = Walk(installation=installation, server=server, folder=tmp_path)
        for _ in range(2):
            for step in (("prepare",), ("publish",), ("activate",), ("retire", "--yes")):
                walk.step(*step)

        assert everywhere(lambda: by(walk.shown()) == "Test Issuing CA 3")
        assert by(walk.enroll("pump", walk.anchor("root-3"))) == "Test Issuing CA 3"
        walk.check_everybody("root-3")
        states = {each["name"]: each["state"] for each in installation.json("issuer", "list")}
        assert states == {
            "root": "retired",
            "issuing": "retired",
            "root-2": "retired",
            "issuing-2": "retired",
            "root-3": "active",
            "issuing-3": "active",
        }
    assert installation.call("check").returncode == 0
