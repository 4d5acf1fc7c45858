"""Making an installation: all of it, or nothing."""

import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tomlkit
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ceremony import Ceremony, root_kind
from ca.keys.software import KeyKind, SoftwareKey, make_private_key, seal_private_key
from ca.succession import FIRST
from enroll.access_keys import Role, key_event, new_access_key
from enroll.certificates import new_serial_number
from enroll.device import new_id
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import Refused
from registry.code_vault import MASTER_OCTETS
from registry.engine import SQLITE, migrate, normal_url
from server.authorities import write_succession
from server.clock import SystemClock, SystemRandomness
from server.config.load import Config, load_config
from server.config.model import (
    check_database_url,
    parse_address,
    parse_host,
    parse_http_url,
)
from server.defaults import default_policy
from server.home import (
    Home,
    create_directory,
    read_passphrase,
    write_private,
    write_public,
)
from server.wiring import Office, open_office

ADMIN = "admin"
_CA_NAME = re.compile(r"\S(.{0,46}\S)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What may be said of an installation before it is made."""

    name: str = "Enrollment"
    hosts: tuple[str, ...] = ()
    public_http_url: str | None = None
    database: str | None = None
    passphrase_file: Path | None = None
    key_algorithm: KeyKind = KeyKind.P_256


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialized:
    """What was made; the admin key is told this once."""

    home: Path
    root_certificate: Path
    root_fingerprint: str
    urls: Mapping[str, str]
    admin_key: str

    def data(self) -> dict[str, object]:
        return {
            "home": str(self.home),
            "root_certificate": str(self.root_certificate),
            "root_fingerprint": self.root_fingerprint,
            "urls": dict(self.urls),
            "admin_key": self.admin_key,
        }


class WishError(ValueError):
    """A wish cannot be met as it was said; the message says what was expected."""


async def initialize(home: Home, wishes: Wishes) -> Initialized:
    """Make everything in a folder beside, and put it in place when it is whole.

    Raises WishError, Refused if there is something already, HomeError, ConfigurationError,
    RegistryUnavailable.
    """
    _check(wishes)
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise Refused(f"{home.path} is there already; choose another home with --home")
    draft = _draft(home)
    try:
        create_directory(draft.path)
        made = await _make(draft, home, wishes)
        _put_in_place(draft, home)
    except BaseException:
        shutil.rmtree(draft.path, ignore_errors=True)
        raise
    return made


def _check(wishes: Wishes) -> None:
    if not _CA_NAME.fullmatch(wishes.name) or not wishes.name.isprintable():
        raise WishError("--name: expected 1 to 48 characters, without spaces around them")
    try:
        root_kind(wishes.key_algorithm)
    except ValueError as error:
        raise WishError(f"--key-algorithm: {error}") from error
    try:
        for host in wishes.hosts:
            parse_host(host)
    except ValueError as error:
        raise WishError(f"--host: {error}") from error
    try:
        if wishes.public_http_url is not None:
            parse_http_url(wishes.public_http_url)
    except ValueError as error:
        raise WishError(f"--public-http-url: {error}") from error
    try:
        if wishes.database is not None:
            check_database_url(wishes.database)
    except ValueError as error:
        raise WishError(f"--database: {error}") from error


def _draft(home: Home) -> Home:
    """Choose where to make the home: on the file system that it is to be on."""
    name = f".{home.path.name}.{secrets.token_hex(4)}"
    if home.path.exists():  # Somebody made it, perhaps to mount something there.
        return Home(home.path / name)
    home.path.parent.mkdir(parents=True, exist_ok=True)
    return Home(home.path.with_name(name))


def _put_in_place(draft: Home, home: Home) -> None:
    """Rename it, or what is in it: the configuration last, for with that a home is there."""
    if not home.path.exists():
        draft.path.rename(home.path)
        return
    for each in sorted(draft.path.iterdir(), key=lambda each: each == draft.configuration):
        each.rename(home.path / each.name)
    draft.path.rmdir()


async def _make(draft: Home, final: Home, wishes: Wishes) -> Initialized:
    _write_configuration(draft, wishes)
    config = load_config(draft.configuration)
    if wishes.passphrase_file is None:
        write_private(draft.passphrase, secrets.token_urlsafe(32).encode() + b"\n")
    passphrase = read_passphrase(draft.resolve(config.keys.passphrase_file))
    write_private(draft.registry_key, SystemRandomness().octets(MASTER_OCTETS))
    now = SystemClock().now()
    root = _make_authorities(draft, config, wishes, passphrase, now)
    database = draft.database_url(config.database.url.get_secret_value())
    _make_database_file(database)
    migrate(database)
    office = open_office(draft, config, stream="cli")
    try:
        admin_key = await _fill(office, root, now)
    finally:
        await office.close()
    return Initialized(
        home=final.path,
        root_certificate=final.root_certificate,
        root_fingerprint=root.fingerprint(hashes.SHA256()).hex(),
        urls=_urls(config),
        admin_key=admin_key,
    )


def _make_database_file(url: str) -> None:
    """Make a SQLite database's file for its owner alone; SQLite gives its others the same mode.

    Raises Refused if it is there and holds anything.
    """
    address = normal_url(url)
    if address.get_backend_name() != SQLITE or not address.database:
        return
    path = Path(address.database)
    if path.exists() and path.stat().st_size:
        raise Refused(f"{path} is there already; choose another database with --database")
    write_private(path, b"")


def _write_configuration(draft: Home, wishes: Wishes) -> None:
    document = tomlkit.document()
    document.add(tomlkit.comment("docs/operations.md names every key and its default."))
    server = tomlkit.table()
    server.add("hosts", list(wishes.hosts))
    host = wishes.hosts[0] if wishes.hosts else "localhost"
    usual = f"http://{f'[{host}]' if ':' in host else host}:8080"
    server.add("public_http_url", (wishes.public_http_url or usual).rstrip("/"))
    document.add("server", server)
    if wishes.database is not None:
        database = tomlkit.table()
        database.add("url", wishes.database)
        document.add("database", database)
    if wishes.passphrase_file is not None:
        keys = tomlkit.table()
        keys.add("passphrase_file", str(wishes.passphrase_file.absolute()))
        document.add("keys", keys)
    write_private(draft.configuration, tomlkit.dumps(document).encode("utf-8"))


def _make_authorities(
    draft: Home, config: Config, wishes: Wishes, passphrase: bytes, now: datetime
) -> x509.Certificate:
    """Make root, issuing CA and the key that signs audit checkpoints."""
    randomness = SystemRandomness()

    def keep(path: Path, kind: KeyKind) -> SoftwareKey:
        key = make_private_key(kind)
        write_private(path, seal_private_key(key, passphrase, randomness))
        return key

    ceremony = Ceremony(name=wishes.name, now=now, public_http_url=config.server.public_http_url)
    root_key = keep(draft.root_key, root_kind(wishes.key_algorithm))
    issuing_key = keep(draft.issuing_key, wishes.key_algorithm)
    keep(draft.audit_key, KeyKind.ED25519)
    root = ceremony.root(root_key, new_serial_number(randomness.octets(20)))
    issuing = ceremony.issuing(
        issuing_key, new_serial_number(randomness.octets(20)), root, root_key
    )
    write_public(draft.root_certificate, root.public_bytes(Encoding.PEM))
    write_public(draft.issuing_certificate, issuing.public_bytes(Encoding.PEM))
    write_succession(draft, FIRST)
    return root


async def _fill(office: Office, root: x509.Certificate, now: datetime) -> str:
    """Store the default policy and the admin's key."""
    randomness = SystemRandomness()
    policy = default_policy(new_id(now, randomness.octets(10)), new_id(now, randomness.octets(10)))
    admin = new_access_key(ADMIN, Role.ACCOUNT_ADMIN, office.secrets, randomness, now)
    async with office.registry.unit_of_work() as uow:
        uow.policy.put_tenant(policy.tenant)
        uow.policy.put_group(policy.group)
        for certificate_profile in policy.certificate_profiles:
            uow.policy.put_certificate_profile(certificate_profile)
        for enrollment_profile in policy.enrollment_profiles:
            uow.policy.put_enrollment_profile(enrollment_profile)
        uow.access_keys.add(admin.key)
        facts = {"root_fingerprint": root.fingerprint(hashes.SHA256()).hex()}
        uow.events.append(
            EnrollmentEvent(
                name=EventName.INSTALLATION_INITIALIZED,
                occurred_at=now,
                actor="cli:init",
                facts=facts,
            )
        )
        uow.events.append(key_event(EventName.KEY_CREATED, admin.key, "cli:init", now))
        await uow.commit()
    return admin.clear


def _urls(config: Config) -> dict[str, str]:
    host = config.server.hosts[0] if config.server.hosts else "localhost"
    host = f"[{host}]" if ":" in host else host
    secure, plain, management = (
        # A listener that is switched off has no port; its addresses name the usual one.
        parse_address(address or usual)[1]
        for address, usual in (
            (config.server.https, "localhost:8443"),
            (config.server.http, "localhost:8080"),
            (config.server.management, "localhost:9443"),
        )
    )
    return {
        "est": f"https://{host}:{secure}/.well-known/est",
        "scep": f"http://{host}:{plain}/scep",
        "cmp": f"http://{host}:{plain}/.well-known/cmp",
        "api": f"https://localhost:{management}/api/v1",
        "console": f"https://localhost:{management}/ui/",
    }
