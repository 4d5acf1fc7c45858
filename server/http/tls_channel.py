"""What protocols may ask of the TLS connection that a request came over."""

from OpenSSL import SSL
from OpenSSL._util import lib  # pyOpenSSL shows neither of the two facts that are asked here

from enroll.channel import ChannelBinding, ChannelBindingKind

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
EXPORTER_OCTETS = 32


class TLSChannel:
    """One connection after its handshake: the `Channel` of the requests that come over it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def binding(self) -> ChannelBinding | None:
        """Give tls-unique (RFC 5929 §3) on TLS 1.2, tls-exporter (RFC 9266 §2) on TLS 1.3.

        tls-unique is the first Finished of the handshake: the client's in a full one, the
        server's where a session is resumed.
        """
        match self._connection.get_protocol_version():
            case SSL.TLS1_3_VERSION:
                return self._tls_exporter()
            case SSL.TLS1_2_VERSION:
                return self._tls_unique()
            case _:
                return None

    def strength(self) -> int:
        return self._connection.get_cipher_bits() or 0

    def _tls_exporter(self) -> ChannelBinding | None:
        try:
            value = self._connection.export_keying_material(EXPORTER_LABEL, EXPORTER_OCTETS, b"")
        except SSL.Error:
            return None
        return ChannelBinding(kind=ChannelBindingKind.TLS_EXPORTER, value=value)

    def _tls_unique(self) -> ChannelBinding | None:
        connection = self._connection
        session = connection._ssl  # noqa: SLF001 - what `lib` works on
        resumed = lib.SSL_session_reused(session) == 1
        finished = connection.get_finished() if resumed else connection.get_peer_finished()
        if finished is None:
            return None
        return ChannelBinding(
            kind=ChannelBindingKind.TLS_UNIQUE,
            value=finished,
            extended_master_secret=lib.SSL_get_extms_support(session) == 1,
        )
