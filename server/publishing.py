"""What relying parties fetch: CA certificates, revocation lists and the root, from memory."""

from collections.abc import Mapping
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ceremony import ROOT
from ca.issuers import Issuer
from protocols.cms import certs_only
from protocols.wire import WireRequest, WireResponse
from server.revocation import RevocationPublisher

_CACHE = ("Cache-Control", "public, max-age=300")


class Publishing:
    """Endpoints for `/ca`, `/crl` and `/roots.pem` on the device listeners."""

    def __init__(
        self, issuers: Mapping[str, Issuer], root: x509.Certificate, crls: RevocationPublisher
    ) -> None:
        self._crls = crls
        self._certificates: dict[str, WireResponse] = {}
        chains = {name: (each.der, *each.chain) for name, each in issuers.items()}
        chains[ROOT] = (root.public_bytes(Encoding.DER),)  # Wherever its key is.
        for name, chain in chains.items():
            self._certificates[f"{name}.crt"] = _found("application/pkix-cert", chain[0])
            self._certificates[f"{name}.p7c"] = _found(
                "application/pkcs7-mime", certs_only.encode(chain)
            )
        self._roots = _found("application/x-pem-file", root.public_bytes(Encoding.PEM))

    async def ca(self, wire: WireRequest) -> WireResponse:
        """Serve `/ca/ISSUER.crt` and `/ca/ISSUER.p7c`."""
        found = self._certificates.get(unquote(wire.path))
        return _answer(wire, found)

    async def crl(self, wire: WireRequest) -> WireResponse:
        """Serve `/crl/ISSUER.crl`; it is never made on the request path."""
        latest = self._crls.latest(unquote(wire.path).removesuffix(".crl"))
        if latest is None or not wire.path.endswith(".crl"):
            return _answer(wire, None)
        return _answer(wire, _found("application/pkix-crl", latest.der))

    async def roots(self, wire: WireRequest) -> WireResponse:
        """Serve `/roots.pem`."""
        return _answer(wire, self._roots if not wire.path else None)


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
