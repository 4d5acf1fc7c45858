"""The configuration: one file and the environment over it; every fault names its key."""

from pathlib import Path

import pytest

from server.config.load import Config, ConfigurationError, load_config
from server.config.model import WebhookSection

FAULTS = {
    "foo = 1": "foo: there is no such key",
    "[foo]\nbar = 1": "foo: there is no such key",
    "[server]\nhtps = 'x'": "server.htps: there is no such key",
    "[server]\nhttps = 8443": "server.https: expected a valid string",
    "[server]\nhttps = 'here'": "server.https: expected host:port",
    "[server]\nhttps = 'here:65536'": "server.https: expected a port up to 65535",
    "[server]\nhosts = 'a.example,b c'": "server.hosts.1: 'b c' is neither a host name nor",
    "[server]\nhosts = 7": "server.hosts: expected a list",
    "[server]\npublic_http_url = 'https://x'": "server.public_http_url: expected an http://",
    "[server]\ndrain_seconds = -1": "server.drain_seconds: expected greater than 0",
    "server = 3": "server: expected a table of keys",
    "[limits]\nbody_bytes = 'many'": "limits.body_bytes: expected a valid integer",
    "[limits]\nbody_bytes = 3": "limits.body_bytes: expected greater than or equal to 4096",
    "[crl]\nlifetime_hours = nan": "crl.lifetime_hours: expected",
    "[log]\nlevel = 'loud'": "log.level: expected 'debug', 'info', 'warning' or 'error'",
    "[tls]\nprivate_key_file = 'x'": "tls: private_key_file is given, so certificate_file",
    "[database]\nurl = 'mysql://u:hunter2@h/d'": "database.url: expected a sqlite or postgresql",
    "[database]\nurl = 'sqlite://'": "database.url: expected a file: sqlite:///FILE",
    "[proxy]\nclient_certificate = 'apache'": "proxy.client_certificate: expected",
    "[proxy]\npinned = ['12']": "proxy.pinned.0: expected the SHA-256 of a certificate or of its",
    f"[proxy]\npinned = ['{'ab' * 32}']": "proxy: client_certificate is expected too",
    "[proxy]\nclient_address = 'forwarded'": "proxy: client_certificate is expected too",
    "[webhooks.x]\nsecret_file = 'x'": "webhooks.x.url: field required",
    "[webhooks.x]\nurl = 'https://h/'": "webhooks.x.secret_file: field required",
    "[webhooks.x]\nurl = 'http://h/'": "webhooks.x.url: expected https://, for http:// is taken to",
    "[webhooks.x]\nurl = 'http://169.254.169.254/'": "webhooks.x.url: expected https://, for",
    "[webhooks.x]\nurl = 'http://localhost.example/'": "webhooks.x.url: expected https://, for",
    "[webhooks.x]\nurl = 'http://127.0.0.1@h/'": "webhooks.x.url: expected https://host[:port]/path",
    "[webhooks.x]\nurl = 'https://u:hunter2@h/'": "webhooks.x.url: expected https://host[:port]/",
    "[webhooks.x]\nurl = 'https://h/?k=hunter2'": "webhooks.x.url: expected https://host[:port]/",
    "[webhooks.x]\nurl = 'file:///etc/passwd'": "webhooks.x.url: expected https://host[:port]/path",
    "[webhooks.x]\ntimeout_seconds = 6": "webhooks.x.timeout_seconds: expected less than or equal",
    "[webhooks.x]\nconcurrent = 0": "webhooks.x.concurrent: expected greater than or equal to 1",
    "[webhooks.x]\nsecret = 'hunter2'": "webhooks.x.secret: there is no such key",
    "webhooks = 3": "webhooks: expected",
    "[server": "is not valid TOML",
    "a = 1\na = 2": "is not valid TOML",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "enroll.toml"


def load(file: Path, text: str = "") -> Config:
    file.write_text(text)
    return load_config(file)


def test_an_empty_file_gives_the_addresses_of_interface_md(file: Path) -> None:
    config = load(file)

    assert config.server.https == "0.0.0.0:8443"
    assert config.server.http == "0.0.0.0:8080"
    assert config.server.management == "127.0.0.1:9443"
    assert config.database.url.get_secret_value() == "sqlite:///registry.db"


@pytest.mark.parametrize(("text", "expected"), FAULTS.items(), ids=FAULTS)
def test_a_fault_names_its_key_and_what_was_expected(file: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as fault:
        load(file, text)

    assert expected in str(fault.value)
    assert str(file) in str(fault.value)
    assert "hunter2" not in str(fault.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://decide.example/v1/decide",
        "https://10.1.2.3:8443/decide",
        "http://127.0.0.1:8000/decide",
        "http://localhost:8000",
        "http://[::1]:8000/",
    ],
)
def test_a_webhook_is_https_or_on_this_machine(file: Path, url: str) -> None:
    config = load(file, f"[webhooks.inventory]\nurl = '{url}'\nsecret_file = 'keys/hook'")

    assert config.webhooks["inventory"].url == url
    assert config.webhooks["inventory"].timeout_seconds == 5


def test_every_fault_of_a_file_is_told(file: Path) -> None:
    with pytest.raises(ConfigurationError) as fault:
        load(file, "[limits]\nbody_bytes = 3\n[log]\nlevel = 'loud'\nfoo = 1")

    lines = str(fault.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "limits.body_bytes",
        "log.level",
        "log.foo",
    ]


def test_a_file_that_is_not_there_tells_how_to_make_one(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="enroll init"):
        load_config(file)


def test_the_environment_is_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLL_SERVER__HTTPS", "127.0.0.1:1")
    monkeypatch.setenv("ENROLL_LIMITS__BODY_BYTES", "70000")
    monkeypatch.setenv("ENROLL_CRL__LIFETIME_HOURS", "1.5")

    config = load(file, "[server]\nhttps = '127.0.0.1:2'\nhttp = '127.0.0.1:3'")

    assert (config.server.https, config.server.http) == ("127.0.0.1:1", "127.0.0.1:3")
    assert config.limits.body_bytes == 70_000
    assert config.crl.lifetime_hours == 1.5


@pytest.mark.parametrize("text", ["a.example,::1", " A.example , 0::1 ,"])
def test_a_list_in_the_environment_goes_with_commas(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ENROLL_SERVER__HOSTS", text)

    assert load(file).server.hosts == ("a.example", "::1")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ENROLL_SERVER__HTTPS", "here", "server.https: expected host:port"),
        ("ENROLL_SERVER__HTPS", "x:1", "server.htps: there is no such key"),
        ("ENROLL_SERVERS__HTTPS", "x:1", "servers: there is no such key"),
        ("ENROLL_LOG__LEVEL_FILE", "/dev/null", "log.level_file: there is no such key"),
        ("ENROLL_SERVER__HTTPS__PORT", "1", "server.https__port: there is no such key"),
    ],
)
def test_a_fault_in_the_environment_names_its_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as fault:
        load(file)

    assert expected in str(fault.value)
    assert f"({name} in the environment)" in str(fault.value)


def test_what_is_not_the_configurations_is_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(file).model_dump()
    monkeypatch.setenv("ENROLL_HOME", "/somewhere")
    monkeypatch.setenv("ENROLLMENT__X", "1")

    after = load(file).model_dump()

    assert after == before


def test_a_secret_may_stand_in_a_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://enroll:hunter2@db/enroll\n")
    monkeypatch.setenv("ENROLL_DATABASE__URL_FILE", str(secret))

    config = load(file, "[database]\nurl = 'sqlite:///other.db'")

    assert config.database.url.get_secret_value() == "postgresql://enroll:hunter2@db/enroll"
    assert "hunter2" not in repr(config)


def test_a_secrets_file_that_cannot_be_read_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENROLL_DATABASE__URL_FILE", "/no/such/file")

    with pytest.raises(ConfigurationError, match="ENROLL_DATABASE__URL_FILE: cannot read"):
        load(file)


def test_a_secret_given_twice_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENROLL_DATABASE__URL", "sqlite:///a.db")
    monkeypatch.setenv("ENROLL_DATABASE__URL_FILE", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"database\.url is given twice"):
        load(file)


def test_every_key_is_in_the_documentation() -> None:
    documented = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()

    keys = [
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        if section != "webhooks"
        for key in field.annotation.model_fields  # type: ignore[union-attr]  # sections are models
    ]
    keys += [f"webhooks.NAME.{key}" for key in WebhookSection.model_fields]
    assert [key for key in keys if f"`{key}`" not in documented] == []
