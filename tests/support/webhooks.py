"""A receiver of decision webhooks: a web server of its own, which verifies what it is sent.

It verifies by the words of docs/operations.md alone, with nothing of the server's own code.
"""

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}\n"
TOLERANCE = 300
ALLOW = json.dumps({"decision": "allow"}).encode()


@dataclass
class Receiver:
    """Answers with `status`, `headers` and `body`, whatever is asked, and keeps what was.

    While `silent` it takes a question and answers nothing. `connections` counts those it accepted.
    """

    url: str = ""
    status: int = 200
    body: bytes = ALLOW
    headers: tuple[tuple[str, str], ...] = ()
    silent: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    forged: int = 0
    connections: int = 0
    ended: Event = field(default_factory=Event)

    def says(self, **answer: object) -> None:
        self.body = json.dumps(answer).encode()


def verify(heads: dict[str, str], body: bytes) -> bool:
    """Follow the steps of docs/operations.md."""
    timestamp = heads["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{heads['webhook-id']}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    given = heads["webhook-signature"].split(" ")
    return any(hmac.compare_digest(expected, each) for each in given)


@contextmanager
def a_receiver(certificate: Path | None = None, key: Path | None = None) -> Iterator[Receiver]:
    """Receive on the loopback until the block ends; over TLS with a certificate."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            receiver.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heads = {name.lower(): value for name, value in self.headers.items()}
            receiver.forged += not verify(heads, body)
            receiver.asked.append(json.loads(body))
            receiver.heads.append(heads)
            if receiver.silent:
                receiver.ended.wait(30)
                self.close_connection = True
                return
            self.send_response(receiver.status)
            for name, value in receiver.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        do_GET = do_POST  # noqa: N815 - theirs

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # A client that goes away is what some tests want.

    with Server(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        receiver.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/decide"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            server.shutdown()
