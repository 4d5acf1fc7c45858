"""Channel bindings: both ends of a connection come to the same, and no other connection does."""

from contextlib import suppress

import pytest
from OpenSSL import SSL

from enroll.channel import ChannelBinding, ChannelBindingKind
from server.http.peer import Peer
from server.http.plaintext import PlaintextTransport
from server.http.tls import make_context
from server.http.tls_channel import TLSChannel
from tests.support.listening import TestPKI
from tests.support.tls_pair import WireTransport, a_pair

NO_EXTENDED_MASTER_SECRET = 1
"""OpenSSL's option SSL_OP_NO_EXTENDED_MASTER_SECRET, for which pyOpenSSL has no name."""


def shaken(client: SSL.Connection, server: SSL.Connection) -> None:
    """Let two ends finish a handshake, and read what is sent after it."""
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(10):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65_536))
    with suppress(SSL.WantReadError):
        client.recv(1)


def two_ends(
    pki: TestPKI, version: int, *, options: int = 0
) -> tuple[SSL.Connection, SSL.Connection]:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    context.set_options(options)
    client = SSL.Connection(context, None)
    server = SSL.Connection(make_context(pki.credentials(), ask_client=True), None)
    shaken(client, server)
    return client, server


def binding_of(connection: SSL.Connection) -> ChannelBinding:
    found = TLSChannel(connection).binding()
    assert found is not None
    return found


def test_est_T12_tls_1_3_gives_the_exporter_that_the_client_has(pki: TestPKI) -> None:
    client, server = two_ends(pki, SSL.TLS1_3_VERSION)

    found = binding_of(server)

    assert found.kind is ChannelBindingKind.TLS_EXPORTER
    assert found.value == client.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    assert len(found.value) == 32


def test_est_T11_tls_1_2_gives_the_first_finished_of_a_full_handshake(pki: TestPKI) -> None:
    client, server = two_ends(pki, SSL.TLS1_2_VERSION)

    found = binding_of(server)

    assert found.kind is ChannelBindingKind.TLS_UNIQUE
    assert found.value == client.get_finished()
    assert found.value != client.get_peer_finished()
    assert found.extended_master_secret


def test_est_T22_of_a_resumed_session_it_is_the_servers_finished(pki: TestPKI) -> None:
    accepting = SSL.Context(SSL.TLS_SERVER_METHOD)
    credentials = pki.credentials()
    accepting.use_certificate(credentials.certificate)
    accepting.use_privatekey(credentials.key)
    connecting = SSL.Context(SSL.TLS_CLIENT_METHOD)
    connecting.set_max_proto_version(SSL.TLS1_2_VERSION)
    first = SSL.Connection(connecting, None)
    shaken(first, SSL.Connection(accepting, None))
    session = first.get_session()
    assert session is not None
    client, server = SSL.Connection(connecting, None), SSL.Connection(accepting, None)
    client.set_session(session)

    shaken(client, server)

    assert binding_of(server).value == client.get_peer_finished()
    assert binding_of(server).value != client.get_finished()


def test_est_T13_a_connection_without_extended_master_secret_is_told_apart(pki: TestPKI) -> None:
    client, server = two_ends(pki, SSL.TLS1_2_VERSION, options=NO_EXTENDED_MASTER_SECRET)

    found = binding_of(server)

    assert not found.extended_master_secret
    assert found.value == client.get_finished()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def test_est_T11_no_two_connections_have_the_same(pki: TestPKI, version: int) -> None:
    found = {binding_of(two_ends(pki, version)[1]).value for _ in range(3)}

    assert len(found) == 3


def test_a_binding_does_not_show_its_value(pki: TestPKI) -> None:
    found = binding_of(two_ends(pki, SSL.TLS1_3_VERSION)[1])

    shown = repr(found)

    assert found.value.hex() not in shown
    assert repr(found.value) not in shown


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
def test_a_connection_before_its_handshake_has_none(pki: TestPKI, version: int) -> None:
    context = make_context(pki.credentials(), ask_client=True)
    context.set_max_proto_version(version)
    server = SSL.Connection(context, None)
    server.set_accept_state()

    assert TLSChannel(server).binding() is None


async def test_a_peer_behind_tls_has_a_channel_and_one_without_has_none(pki: TestPKI) -> None:
    pair = a_pair(pki)
    pair.shake()

    behind = Peer(PlaintextTransport(pair.server))
    without = Peer(WireTransport())

    assert behind.channel is not None
    assert behind.channel.binding() is not None
    assert without.channel is None
