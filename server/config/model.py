"""Every configuration key, its default and what it must be."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from registry.engine import SQLITE, normal_url

MAXIMUM_PORT = 65535


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port`; an IPv6 host stands in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ValueError("expected host:port, such as 127.0.0.1:8443; port 0 takes a free one")
    if int(port) > MAXIMUM_PORT:
        raise ValueError(f"expected a port up to {MAXIMUM_PORT}")
    return host, int(port)


def _address(text: str) -> str:
    if text:
        parse_address(text)
    return text


def parse_http_url(text: str) -> str:
    """Check what CRL and CA addresses start with. Raises ValueError."""
    if not re.fullmatch(r"http://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9/._~-]*)?", text):
        raise ValueError("expected an http:// address that relying parties reach, without a query")
    return text.rstrip("/")


def _webhook_url(text: str) -> str:
    """Take HTTPS to anywhere, for its certificate says who answers, and HTTP to this machine."""
    match = re.fullmatch(
        r"(https?)://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9/._~-]*)?", text
    )
    if match is None:
        raise ValueError("expected https://host[:port]/path, without user, query or fragment")
    if match[1] == "http" and not _is_this_machine(match[2].strip("[]")):
        raise ValueError("expected https://, for http:// is taken to the loopback only")
    return text


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_host(text: str) -> str:
    """Bring a host name or IP address into its usual form. Raises ValueError."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if not re.fullmatch(
        r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", text
    ):
        raise ValueError(f"{text!r} is neither a host name nor an IP address")
    return text.lower()


def check_database_url(url: str) -> None:
    """Check the address of a database. Raises ValueError, which does not repeat it."""
    address = normal_url(url)
    if address.get_backend_name() == SQLITE and not address.database:
        raise ValueError("expected a file: sqlite:///FILE")


def _database_url(url: SecretStr) -> SecretStr:
    check_database_url(url.get_secret_value())
    return url


def _listed(value: object) -> object:
    """Take the environment's one string for a list, its items separated by commas."""
    if isinstance(value, str):
        return [each.strip() for each in value.split(",") if each.strip()]
    return value


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError(
            "expected the SHA-256 of a certificate or of its public key: 64 hexadecimal digits"
        )
    return digits


Address = Annotated[str, AfterValidator(_address)]
Host = Annotated[str, AfterValidator(parse_host)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where the server listens; an empty address switches a listener off."""

    https: Address = "0.0.0.0:8443"
    http: Address = "0.0.0.0:8080"
    management: Address = "127.0.0.1:9443"
    unix: str = ""
    hosts: Annotated[tuple[Host, ...], BeforeValidator(_listed)] = ()
    public_http_url: Annotated[str, AfterValidator(parse_http_url)] = "http://localhost:8080"
    drain_seconds: Seconds = 30.0


class TLSSection(Section):
    """An operator's own TLS certificate (PEM, with its chain) and key; else the CA makes one."""

    certificate_file: str = ""
    private_key_file: str = ""

    @model_validator(mode="after")
    def _names_a_certificate(self) -> Self:
        if self.private_key_file and not self.certificate_file:
            raise ValueError("private_key_file is given, so certificate_file is expected too")
        return self


class DatabaseSection(Section):
    """Where the registry is; a relative SQLite path starts at the home."""

    url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr("sqlite:///registry.db")
    busy_timeout_seconds: Seconds = 5.0


class KeysSection(Section):
    """How the private keys are opened."""

    passphrase_file: str = "keys/passphrase"  # noqa: S105 - a path, not a passphrase


class LimitsSection(Section):
    """What a single caller may cost (security.md §5)."""

    body_bytes: Annotated[int, Field(ge=4096, le=4 * 1024 * 1024)] = 64 * 1024
    handshake_seconds: Seconds = 10.0
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 20.0
    keep_alive_seconds: Seconds = 15.0
    connections: Annotated[int, Field(ge=1)] = 20_000
    connections_per_address: Annotated[int, Field(ge=0)] = 0
    exchanges: Annotated[int, Field(ge=0)] = 1_000
    queue_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
    failures_per_address: Annotated[int, Field(ge=0)] = 1_000
    failures_recovered_per_second: Annotated[float, Field(gt=0)] = 20.0
    keys_waiting: Annotated[int, Field(ge=0)] = 16
    keys_per_device_and_hour: Annotated[int, Field(ge=0)] = 12


class ProxySection(Section):
    """Proxies in front that end TLS, and what they are believed of their clients."""

    client_certificate: Literal["", "rfc9440", "nginx", "haproxy"] = ""
    pinned: Annotated[tuple[Fingerprint, ...], BeforeValidator(_listed)] = ()
    client_address: Literal["", "forwarded", "x-forwarded-for"] = ""

    @model_validator(mode="after")
    def _believes_something(self) -> Self:
        if (self.pinned or self.client_address) and not self.client_certificate:
            raise ValueError("client_certificate is expected too: rfc9440, nginx or haproxy")
        return self


class WebhookSection(Section):
    """Whom profiles ask before anything is issued; `attributes` are those that it may set."""

    url: Annotated[str, AfterValidator(_webhook_url)]
    secret_file: Annotated[str, Field(min_length=1)]
    ca_file: str = ""
    timeout_seconds: Annotated[float, Field(gt=0, le=5)] = 5.0
    concurrent: Annotated[int, Field(ge=1, le=256)] = 16
    attributes: tuple[str, ...] = ()


class AttemptsSection(Section):
    """How long enrollment attempts are kept."""

    keep_days: Annotated[int, Field(ge=1)] = 90
    keep_rows: Annotated[int, Field(ge=1000)] = 1_000_000


class CRLSection(Section):
    """How long a revocation list is good; a new one is made at half of it."""

    lifetime_hours: Annotated[float, Field(ge=0.1, le=24 * 365)] = 24.0
    root_lifetime_days: Annotated[float, Field(ge=1, le=3650)] = 180.0


class LogSection(Section):
    """What is logged to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
