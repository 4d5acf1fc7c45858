"""The same server with its TLS by the standard library: a yardstick for our own transport."""

import asyncio
import ssl
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from server.authorities import open_key
from server.cli.main import main
from server.config.load import load_config
from server.home import Home, read_passphrase
from server.http.connection import HTTPConnection
from server.http.listener import Listener


def make_context(home: Home) -> ssl.SSLContext:
    """Ask for a client certificate as ours does. Nothing is verified, and no ticket is given."""
    config = load_config(home.configuration)
    passphrase = read_passphrase(home.resolve(config.keys.passphrase_file))
    key = open_key(home.tls_key, passphrase).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(home.tls_certificate.read_bytes() + key)
        file.flush()
        context.load_cert_chain(file.name)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cafile=str(home.root_certificate))
    context.load_verify_locations(cadata=_clients_roots(home))
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _clients_roots(home: Home) -> str:
    """Give the clients' root, which stands beside the homes: `ssl` takes no other's certificate."""
    return (home.path.parent / "client-root.pem").read_text()


async def _start_on_ssl(listener: Listener, host: str, port: int, *, shared: bool = False) -> None:
    del shared
    loop = asyncio.get_running_loop()
    home = Home(Path(sys.argv[sys.argv.index("--home") + 1]))
    context = make_context(home) if listener.context is not None else None

    def connection() -> HTTPConnection:
        return HTTPConnection(listener._front, listener._limits, listener._door)  # noqa: SLF001 - its stand-in

    server = await loop.create_server(connection, host, port, ssl=context, backlog=1024)
    listener._server = server  # noqa: SLF001 - as above
    name = server.sockets[0].getsockname()
    listener.address = f"{name[0]}:{name[1]}"


if __name__ == "__main__":
    Listener.start_tcp = _start_on_ssl  # type: ignore[method-assign, assignment]  # that is the point
    main()
