"""What relying parties fetch: CA certificates, revocation lists and the roots, from memory."""

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from cryptography.hazmat.primitives.serialization import Encoding

from ca.authorities import Authorities
from protocols.cms import certs_only
from protocols.wire import WireRequest, WireResponse
from server.revocation import RevocationPublisher

_CACHE = ("Cache-Control", "public, max-age=300")


class Publishing:
    """Endpoints for `/ca`, `/crl` and `/roots.pem` on the device listeners."""

    def __init__(self, authorities: Callable[[], Authorities], crls: RevocationPublisher) -> None:
        self._authorities = authorities
        self._crls = crls
        self._written: Authorities | None = None
        self._certificates: Mapping[str, WireResponse] = {}
        self._roots: WireResponse | None = None

    async def ca(self, wire: WireRequest) -> WireResponse:
        """Serve `/ca/ISSUER.crt` and `/ca/ISSUER.p7c`."""
        self._write()
        found = self._certificates.get(unquote(wire.path))
        return _answer(wire, found)

    async def crl(self, wire: WireRequest) -> WireResponse:
        """Serve `/crl/ISSUER.crl`; it is never made on the request path."""
        latest = self._crls.latest(unquote(wire.path).removesuffix(".crl"))
        if latest is None or not wire.path.endswith(".crl"):
            return _answer(wire, None)
        return _answer(wire, _found("application/pkix-crl", latest.der))

    async def roots(self, wire: WireRequest) -> WireResponse:
        """Serve `/roots.pem`: every root to trust, the one above the issuing CA first."""
        self._write()
        return _answer(wire, self._roots if not wire.path else None)

    def _write(self) -> None:
        """Write the answers, once for each change of the CAs.

        Certificates that name a retired CA are still valid: its own certificate stays.
        """
        authorities = self._authorities()
        if authorities is self._written:
            return
        certificates = {}
        for name, each in authorities.members.items():
            certificates[f"{name}.crt"] = _found("application/pkix-cert", each.der)
            certificates[f"{name}.p7c"] = _found(
                "application/pkcs7-mime", certs_only.encode((each.der, *authorities.above(name)))
            )
        pem = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in authorities.roots)
        self._certificates = certificates
        self._roots = _found("application/x-pem-file", pem)
        self._written = authorities


def _found(media_type: str, body: bytes) -> WireResponse:
    return WireResponse(status=200, media_type=media_type, body=body, headers=(_CACHE,))


def _answer(wire: WireRequest, found: WireResponse | None) -> WireResponse:
    if wire.method not in {"GET", "HEAD"}:
        return _refused(wire, 405, "only GET is served here", (("Allow", "GET, HEAD"),))
    if found is None:
        return _refused(wire, 404, "there is nothing of that name here")
    return found


def _refused(
    wire: WireRequest, status: int, words: str, headers: tuple[tuple[str, str], ...] = ()
) -> WireResponse:
    return WireResponse(
        status=status,
        media_type="text/plain; charset=utf-8",
        body=f"{words} [{wire.correlation_id}]\n".encode(),
        headers=headers,
    )
