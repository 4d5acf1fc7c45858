"""Who a request is really from: its peer, or whom a trusted proxy says that it speaks for."""

from dataclasses import dataclass
from hashlib import sha256

import structlog
from aiohttp.http import RawRequestMessage
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enroll.channel import Channel
from server.http.forwarding import ADDRESSES, CERTIFICATE_HEADERS, FORMS, UnreadableHeaderError
from server.http.intake import Unreadable
from server.http.peer import Peer

_log = structlog.get_logger("proxies")
_GUARDED = frozenset(
    name.lower().encode() for name in (*CERTIFICATE_HEADERS, "Forwarded", "X-Forwarded-For")
)
"""Names that some servers take for others: a request that has one of them spelt so is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client of one request: the certificates that it has shown to whom it is connected.

    Only a client that is connected to us has a `channel`.
    """

    chain: tuple[bytes, ...]
    address: str
    channel: Channel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTrust:
    """Which proxies are believed, and what (the section `proxy` of the configuration).

    `form` is a key of `FORMS`, or empty where no header is believed. `pinned` are the SHA-256
    values of proxies' certificates or of their public keys. `over_unix`: whoever may open the
    unix socket is a proxy. `address_from` is a key of `ADDRESSES`, or empty.
    """

    form: str = ""
    pinned: frozenset[str] = frozenset()
    over_unix: bool = False
    address_from: str = ""


NOBODY = ProxyTrust()


class Proxies:
    """Tells a proxy from a client, and takes from a proxy's headers whom it speaks for."""

    def __init__(self, trust: ProxyTrust = NOBODY) -> None:
        self._trust = trust
        self._form = FORMS.get(trust.form)

    def client_of(self, message: RawRequestMessage, peer: Peer) -> Client:
        """Give the client of a request. Raises Unreadable (security T4)."""
        named = _certificate_headers(message)
        if self._is_proxy(peer):
            return Client(
                chain=self._chain(message, named),
                address=self._address(message) or peer.address,
                channel=None,
            )
        if named and peer.chain:
            raise _refused("a certificate in the handshake, and one in a header", named[0])
        return Client(chain=peer.chain, address=peer.address, channel=peer.channel)

    def _is_proxy(self, peer: Peer) -> bool:
        """Tell whether the other end is a proxy that is believed; the same for all its requests."""
        if self._form is None:
            return False
        if self._trust.over_unix:
            return True
        if peer.is_proxy is None:
            chain = peer.chain if self._trust.pinned else ()
            peer.is_proxy = bool(chain) and not self._trust.pinned.isdisjoint(_names_of(chain[0]))
        return peer.is_proxy

    def _chain(self, message: RawRequestMessage, named: list[str]) -> tuple[bytes, ...]:
        """Read the certificates that the client showed to its proxy, its own first."""
        form = self._form
        assert form is not None  # noqa: S101 - else nobody is believed
        for name in named:
            if name not in {form.certificate, form.chain}:
                raise _refused("a header that this proxy does not write; let it strip it", name)
            if len(message.headers.getall(name)) > 1:
                raise _refused("a header twice", name)
        own = message.headers.get(form.certificate, "").strip()
        above = message.headers.get(form.chain, "").strip() if form.chain is not None else ""
        if not own:
            if above:
                raise _refused("a chain without a certificate", str(form.chain))
            return ()
        name = form.certificate
        try:
            found = [form.decode(own)]
            if above and form.decode_chain is not None:
                name = str(form.chain)
                found += form.decode_chain(above)
        except UnreadableHeaderError as error:
            raise _refused(str(error), name) from error
        return tuple(dict.fromkeys(found))

    def _address(self, message: RawRequestMessage) -> str | None:
        known = ADDRESSES.get(self._trust.address_from)
        if known is None:
            return None
        name, last = known
        return last(",".join(message.headers.getall(name, ())))


def _certificate_headers(message: RawRequestMessage) -> list[str]:
    """Find the headers that speak of a certificate. Raises Unreadable for a name misspelt."""
    notable = [
        name for name, _ in message.raw_headers if name.lower().replace(b"_", b"-") in _GUARDED
    ]
    if not notable:
        return []
    for name in notable:
        if b"_" in name:
            raise _refused("a header's name has an underscore", name.decode("ascii", "replace"))
    return [name for name in CERTIFICATE_HEADERS if name in message.headers]


def _names_of(der: bytes) -> tuple[str, ...]:
    """Give the two values that a proxy may be pinned by: of its certificate, and of its key."""
    certificate = sha256(der).hexdigest()
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, OverflowError, x509.InvalidVersion, Warning):
        return (certificate,)
    return (certificate, sha256(spki).hexdigest())


def _refused(why: str, name: str) -> Unreadable:
    _log.info("a header that speaks of a client was refused", why=why, header=name[:64])
    return Unreadable(400, "This request speaks for a client in a way that is not believed.")
