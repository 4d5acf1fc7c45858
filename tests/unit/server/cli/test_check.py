"""`enroll check` and `enroll db`: what is wrong is named, and the rest is looked at too."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.support.desk import obtain
from tests.support.enrollment import by_code
from tests.support.installation import Installation
from tests.support.webhooks import SECRET

FREE = ("--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0")
EVERYTHING = {
    "configuration",
    "keys",
    "database",
    "clock",
    "CRL issuing",
    "CRL root",
    "CA root",
    "CA issuing",
    "TLS",
    "Key Generation",
    "Message Signer",
    "SCEP RA",
}


def findings(installation: Installation, *, code: int = 0) -> dict[str, tuple[str, str]]:
    ended = installation.call("check", "-o", "json")
    assert ended.returncode == code, ended.stderr
    return {each["check"]: (each["result"], each["detail"]) for each in json.loads(ended.stdout)}


def wrong(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: detail for name, (result, detail) in found.items() if result == "wrong"}


def configure(installation: Installation, text: str) -> None:
    with (installation.home / "enroll.toml").open("a") as file:
        file.write(f"\n{text}\n")


def test_a_fresh_installation_is_well(pristine: Installation) -> None:
    found = findings(pristine)

    assert set(found) == EVERYTHING
    assert wrong(found) == {}


def test_a_configuration_error_is_named_and_ends_with_1(installation: Installation) -> None:
    configure(installation, "[limits]\nbody_bytes = 3\nbodies = 4")

    found = findings(installation, code=1)

    assert set(found) == {"configuration"}
    assert "limits.body_bytes: expected" in found["configuration"][1]
    assert "limits.bodies: there is no such key" in found["configuration"][1]


@pytest.mark.parametrize("name", ["issuing.key", "audit.key", "root.key", "registry.key"])
@pytest.mark.parametrize("trouble", ["damaged", "open"])
def test_a_key_that_cannot_be_used_is_named(
    installation: Installation, name: str, trouble: str
) -> None:
    key = installation.home / "keys" / name
    if trouble == "open":
        key.chmod(0o644)
    else:
        key.write_bytes(b"")

    found = findings(installation, code=1)

    assert name in " ".join(wrong(found).values())
    assert found["CA root"][0] == "ok"
    assert found["TLS"][0] == "ok"


def test_a_key_of_another_certificate_is_named(installation: Installation) -> None:
    keys = installation.home / "keys"
    (keys / "root.key").rename(keys / "issuing.key")

    found = findings(installation, code=1)

    assert "issuing.key: is not the key of" in wrong(found)["keys"]
    assert "not on this machine" in found["root key"][1]


def test_a_lost_database_is_named_and_the_rest_looked_at(installation: Installation) -> None:
    (installation.home / "registry.db").unlink()

    found = findings(installation, code=1)

    assert set(wrong(found)) == {"database"}
    assert found["keys"][0] == "ok"
    assert found["CA issuing"][0] == "ok"


def test_a_database_of_another_schema_is_named_and_can_be_migrated(
    installation: Installation,
) -> None:
    database = sqlite3.connect(installation.home / "registry.db")
    version = database.execute("SELECT version_num FROM alembic_version").fetchone()
    database.execute("UPDATE alembic_version SET version_num = 'gone'")
    database.commit()

    found = findings(installation, code=1)
    database.execute("UPDATE alembic_version SET version_num = ?", version)
    database.commit()
    database.close()
    installation.run("db", "migrate")

    assert "'enroll db migrate'" in wrong(found)["database"]
    assert wrong(findings(installation)) == {}


def test_migrating_a_lost_database_does_not_make_an_empty_one(installation: Installation) -> None:
    (installation.home / "registry.db").unlink()

    ended = installation.call("db", "migrate")

    assert ended.returncode == 3
    assert "restore a backup" in ended.stderr
    assert not (installation.home / "registry.db").exists()


def test_a_clock_that_went_back_is_named(installation: Installation) -> None:
    code = installation.json("device", "add", "pump-1")["code"]
    obtain(installation, by_code("pump-1", code))
    database = sqlite3.connect(installation.home / "registry.db")
    database.execute("UPDATE certificates SET issued_at = '2126-01-01T00:00:00.000000+00:00'")
    database.commit()
    database.close()

    found = findings(installation, code=1)

    assert set(wrong(found)) == {"clock"}
    assert "2126" in wrong(found)["clock"]


def test_est_A6_a_key_policy_that_devices_are_not_told_of_is_a_warning(
    installation: Installation,
) -> None:
    two_types = ("--set", "key_algorithms=p-256,rsa-3072")
    installation.run("certificate-profile", "add", "either", "--copy", "bootstrap", *two_types)
    words = ("--copy", "bootstrap", "--set", "certificate_profile=either")
    installation.run("profile", "add", "plant", *words)

    found = findings(installation)

    assert found["csrattrs"][0] == "warning"
    assert "profile 'plant' takes only p-256, rsa-3072 keys" in found["csrattrs"][1]


def test_an_old_crl_is_named(installation: Installation) -> None:
    with installation.serve():
        pass
    assert wrong(findings(installation)) == {}
    past = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00")
    database = sqlite3.connect(installation.home / "registry.db")
    database.execute("UPDATE crls SET next_update = ? WHERE issuer = 'issuing'", (past,))
    database.commit()
    database.close()

    found = findings(installation, code=1)

    assert set(wrong(found)) == {"CRL issuing"}
    assert "start the server" in wrong(found)["CRL issuing"]


class TestOperatorsCertificate:
    """est-T18: the certificate must be good for TLS before anyone relies on it."""

    def configured(self, installation: Installation, folder: Path, *names: str) -> None:
        made = trustme.CA().issue_cert(*names)
        made.cert_chain_pems[0].write_to_path(folder / "tls.pem")
        made.private_key_pem.write_to_path(folder / "tls.key")
        (folder / "tls.key").chmod(0o600)
        configure(
            installation,
            f"[tls]\ncertificate_file = '{folder / 'tls.pem'}'\n"
            f"private_key_file = '{folder / 'tls.key'}'",
        )

    def test_est_T18_one_that_names_the_hosts_is_good(
        self, installation: Installation, tmp_path: Path
    ) -> None:
        self.configured(installation, tmp_path, "127.0.0.1")

        result, detail = findings(installation)["TLS"]

        assert result == "warning"
        assert "does not lead to our root" in detail

    def test_est_T18_a_star_stands_for_one_label(
        self, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.configured(installation, tmp_path, "*.plant.example")

        monkeypatch.setenv("ENROLL_SERVER__HOSTS", "est.plant.example")
        one = findings(installation)["TLS"][0]
        monkeypatch.setenv("ENROLL_SERVER__HOSTS", "a.est.plant.example")
        two = findings(installation, code=1)["TLS"][0]

        assert (one, two) == ("warning", "wrong")

    def test_est_T18_one_that_does_not_name_a_host_keeps_the_server_from_starting(
        self, installation: Installation, tmp_path: Path
    ) -> None:
        self.configured(installation, tmp_path, "elsewhere.example")

        started = installation.call("serve", *FREE)

        assert "does not name 127.0.0.1" in wrong(findings(installation, code=1))["TLS"]
        assert started.returncode == 1
        assert "does not name 127.0.0.1" in started.stderr

    def test_est_T18_one_with_another_key_keeps_the_server_from_starting(
        self, installation: Installation, tmp_path: Path
    ) -> None:
        self.configured(installation, tmp_path, "127.0.0.1")
        trustme.CA().issue_cert("x").private_key_pem.write_to_path(tmp_path / "tls.key")

        started = installation.call("serve", *FREE)

        assert "is not the key of" in wrong(findings(installation, code=1))["TLS"]
        assert started.returncode == 1
        assert "is not the key of" in started.stderr

    def test_a_missing_file_is_wrong(self, installation: Installation, tmp_path: Path) -> None:
        self.configured(installation, tmp_path, "127.0.0.1")
        (tmp_path / "tls.pem").unlink()

        assert str(tmp_path / "tls.pem") in wrong(findings(installation, code=1))["TLS"]


def test_scep_34_a_legacy_profile_is_named_in_a_warning(installation: Installation) -> None:
    installation.run("profile", "add", "old", "--copy", "bootstrap", "--set", "scep.legacy=true")

    found = findings(installation)

    result, detail = found["profile old"]
    assert result == "warning"
    assert "scep.legacy is set" in detail


def with_a_webhook(installation: Installation, secret: str, mode: int = 0o600) -> None:
    path = installation.home / "keys" / "hook"
    path.write_text(secret)
    path.chmod(mode)
    configure(
        installation,
        "[webhooks.inventory]\nurl = 'https://decide.example/'\nsecret_file = 'keys/hook'",
    )


def test_a_profile_that_asks_a_webhook_that_is_not_there_is_warned_of(
    installation: Installation,
) -> None:
    words = ("--copy", "bootstrap", "--set", "decision_webhook=inventory")
    installation.run("profile", "add", "asking", *words)

    result, detail = findings(installation)["webhooks"]

    assert result == "warning"
    assert detail == (
        "profile 'asking' asks 'inventory', and there is no [webhooks.inventory] in the "
        "configuration: nothing is issued by it"
    )


def test_a_webhook_that_is_there_is_well(installation: Installation) -> None:
    with_a_webhook(installation, SECRET)
    words = ("--copy", "bootstrap", "--set", "decision_webhook=inventory")
    installation.run("profile", "add", "asking", *words)

    found = findings(installation)

    assert found["webhooks"] == ("ok", "inventory")


@pytest.mark.parametrize(
    ("secret", "mode", "expected"),
    [
        ("c2hvcnQ=", 0o600, "expected 24 to 64 octets in base64"),
        ("not base64 at all, or is it?", 0o600, "expected 24 to 64 octets in base64"),
        (SECRET, 0o644, "others may read it"),
    ],
)
def test_a_webhook_whose_secret_cannot_be_used_is_warned_of(
    installation: Installation, secret: str, mode: int, expected: str
) -> None:
    with_a_webhook(installation, secret, mode)

    result, detail = findings(installation)["webhooks"]

    assert result == "warning"
    assert expected in detail
    assert secret.strip() not in detail
