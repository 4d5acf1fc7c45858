"""TLS as device listeners speak it (RFC 7030 §3.3, RFC 8996): what is offered, what is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL

CIPHERS_1_2 = b"ECDHE+AESGCM:ECDHE+CHACHA20"
CIPHERS_1_3 = b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"

LEAF_ALONE = -2
"""Less than no certificate above the client's own: OpenSSL builds no chain and verifies none.

What it found would not count here anyway, and a client that sends its issuers along would make us
pay for it with every handshake. What it sent is kept all the same.
"""

TLSKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCredentials:
    """The server's own certificate, the chain above it, and its key."""

    certificate: x509.Certificate
    chain: Sequence[x509.Certificate]
    key: TLSKey = field(repr=False)


def make_context(credentials: ServerCredentials, *, ask_client: bool) -> SSL.Context:
    """Make a context: TLS 1.2 and 1.3, ephemeral keys and AEAD only.

    With `ask_client` every client is asked for a certificate, and any or none is taken: whether
    it is good is decided for each request, by the registry. Sessions are not resumed, so that no
    handshake can bring back what has been revoked since (est-T20). Key agreements are OpenSSL's own
    choice: X25519 with ML-KEM-768 before all others, where the client can.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_TICKET
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(CIPHERS_1_2)
    context.set_tls13_ciphersuites(CIPHERS_1_3)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_certificate(credentials.certificate)
    for above in credentials.chain:
        context.add_extra_chain_cert(above)
    context.use_privatekey(credentials.key)
    context.check_privatekey()
    if ask_client:
        context.set_verify(SSL.VERIFY_PEER, _take_any)
        context.set_verify_depth(LEAF_ALONE)
    return context


def _take_any(
    connection: SSL.Connection, certificate: object, error: int, depth: int, ok: int
) -> bool:
    """Let every chain through to where requests are decided, so that refusals have a reason."""
    del connection, certificate, error, depth, ok
    return True
