"""The home: where an installation's files lie, and who may read them."""

import os
import re
import secrets
import stat
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
ENVIRONMENT_NAME = "ENROLL_HOME"
DEFAULT_NAME = "enroll-home"


class HomeError(Exception):
    """A file of the home is missing, unreadable or open to others; the message says which."""


class Home:
    """Paths of one installation. Reading a secret checks first that only its owner can."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def configuration(self) -> Path:
        return self.path / "enroll.toml"

    @property
    def root_certificate(self) -> Path:
        return self.path / "ca" / "root.pem"

    @property
    def issuing_certificate(self) -> Path:
        return self.path / "ca" / "issuing.pem"

    @property
    def root_key(self) -> Path:
        return self.path / "keys" / "root.key"

    @property
    def issuing_key(self) -> Path:
        return self.path / "keys" / "issuing.key"

    @property
    def issuers(self) -> Path:
        return self.path / "ca" / "issuers.json"

    def ca_certificate(self, name: str) -> Path:
        return self.path / "ca" / f"{name}.pem"

    def ca_key(self, name: str) -> Path:
        return self.path / "keys" / f"{name}.key"

    def cross_certificate(self, certified: str, by: str) -> Path:
        return self.path / "ca" / f"{certified}-by-{by}.pem"

    @property
    def tls_key(self) -> Path:
        return self.service_key("tls")

    @property
    def tls_certificate(self) -> Path:
        return self.service_certificate("tls")

    def service_key(self, name: str) -> Path:
        return self.path / "keys" / f"{name}.key"

    def service_certificate(self, name: str) -> Path:
        return self.path / "ca" / f"{name}.pem"

    @property
    def audit_key(self) -> Path:
        return self.path / "keys" / "audit.key"

    @property
    def registry_key(self) -> Path:
        return self.path / "keys" / "registry.key"

    @property
    def passphrase(self) -> Path:
        return self.path / "keys" / "passphrase"

    @property
    def checkpoints(self) -> Path:
        return self.path / "audit" / "checkpoints.jsonl"

    @property
    def exists(self) -> bool:
        return self.configuration.is_file()

    def resolve(self, location: str) -> Path:
        """Give a configured path, which starts at the home unless it is absolute."""
        return self.path / location

    def database_url(self, url: str) -> str:
        """Complete a relative SQLite path with the home's; other databases stay as they are."""
        found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/].*)", url)
        return f"{found[1]}{self.path / found[2]}" if found else url


def create_directory(path: Path) -> None:
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    create_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that anyone may read, whole or not at all."""
    write_private(path, content)
    path.chmod(0o644)


def read_private(path: Path) -> bytes:
    """Read a secret. Raises HomeError if it is missing or others may read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise HomeError(f"{path}: others may read it; run chmod 600 on it")
            return file.read()
    except OSError as error:
        raise HomeError(f"{path}: cannot be read: {error.strerror}") from error


def read_passphrase(path: Path) -> bytes:
    """Read a passphrase file: its first line, without the line's end. Raises HomeError."""
    lines = read_private(path).splitlines()
    if not lines or not lines[0]:
        raise HomeError(f"{path}: expected the passphrase on the first line")
    return lines[0]
