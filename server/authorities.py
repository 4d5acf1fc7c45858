"""The CAs of an installation: their files in the home, read anew when their record changes."""

from pathlib import Path

from cryptography import x509

from ca.authorities import Authorities, Authority, crossing
from ca.issuers import Issuer, IssuerError
from ca.keys.software import KeyOpeningError, SoftwareKey, open_private_key
from ca.succession import AuthorityKind, AuthorityState, Succession, SuccessionError
from server.home import Home, HomeError, read_private, write_public


class LiveAuthorities:
    """Holds the CAs as their record says; `refresh` takes over a record that changed."""

    def __init__(self, home: Home, passphrase: bytes, public_http_url: str) -> None:
        self._home = home
        self._passphrase = passphrase
        self._url = public_http_url
        self._read = _state(home.issuers)
        self.now = load_authorities(home, passphrase, public_http_url)

    def refresh(self) -> bool:
        """Tell whether anything changed. Raises HomeError; what was there then stays in use."""
        found = _state(self._home.issuers)
        if found == self._read:
            return False
        self.now = load_authorities(self._home, self._passphrase, self._url)
        self._read = found
        return True


def read_succession(home: Home) -> Succession:
    """Read the record of the CAs. Raises HomeError, also if it is lost.

    What it says cannot be guessed: a retired CA must not begin to sign again.
    """
    try:
        return Succession.decode(home.issuers.read_bytes())
    except FileNotFoundError:
        raise HomeError(f"{home.issuers}: is not there; restore it from a backup") from None
    except (OSError, SuccessionError) as error:
        raise HomeError(f"{home.issuers}: cannot be used: {error}") from error


def write_succession(home: Home, succession: Succession) -> None:
    """Put the record in place, whole."""
    write_public(home.issuers, succession.encode())


def load_authorities(home: Home, passphrase: bytes, public_http_url: str) -> Authorities:
    """Read certificates and keys. A key may be elsewhere, but for that of the CA that issues.

    Raises HomeError, naming the file.
    """
    found = read_authorities(home)
    issuers = {}
    for name, each in found.members.items():
        path = home.ca_key(name)
        if not path.exists() and not _must_sign(each):
            continue
        try:
            issuers[name] = Issuer(
                name=name,
                certificate=each.certificate,
                key=open_key(path, passphrase),
                public_http_url=public_http_url,
            )
        except IssuerError as error:
            raise HomeError(f"{home.path}: {error}") from error
    return found.with_issuers(issuers)


def read_authorities(home: Home) -> Authorities:
    """Read the certificates alone. Raises HomeError."""
    succession = read_succession(home)
    crosses: dict[str, tuple[x509.Certificate, ...]] = {}
    known = {each.name for each in succession.known}
    for certified, by in crossing(succession):
        if {certified, by} <= known:
            crosses[certified] = (read_certificate(home.cross_certificate(certified, by)),)
    return Authorities(
        succession=succession,
        members={
            each.name: Authority(
                record=each,
                certificate=read_certificate(home.ca_certificate(each.name)),
                crosses=crosses.get(each.name, ()),
            )
            for each in succession.known
        },
    )


def open_key(path: Path, passphrase: bytes) -> SoftwareKey:
    """Read and open a private key. Raises HomeError, naming the file."""
    try:
        return open_private_key(read_private(path), passphrase)
    except KeyOpeningError as error:
        raise HomeError(f"{path}: {error}") from error


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file. Raises HomeError."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise HomeError(f"{path}: no certificate can be read: {error}") from error


def _must_sign(authority: Authority) -> bool:
    record = authority.record
    return record.kind is AuthorityKind.ISSUING and record.state is AuthorityState.ACTIVE


def _state(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
