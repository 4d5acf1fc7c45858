"""What a connection once proved is asked again on every request (security T1, S16)."""

import base64
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.device import Device


@contextmanager
def connection(
    device: Device, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[http.client.HTTPSConnection]:
    """Open one kept-alive mTLS connection as the device, resuming a session if one is given."""
    host, port = device.server.https.rsplit(":", 1)
    raw = socket.create_connection((host, int(port)), timeout=20)
    secured = context.wrap_socket(raw, server_hostname=host, session=session)
    opened = http.client.HTTPSConnection(host, int(port), context=context)
    opened.sock = secured
    try:
        yield opened
    finally:
        opened.close()


def renew(opened: http.client.HTTPConnection, body: Path) -> int:
    opened.request(
        "POST",
        "/.well-known/est/simplereenroll",
        base64.b64encode(base64.b64decode(body.read_bytes())),
        {"Content-Type": "application/pkcs10"},
    )
    answer = opened.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_security_T1_a_disabled_device_is_refused_on_its_open_connection(
    device: Device, version: ssl.TLSVersion
) -> None:
    name = f"open-{version.name.lower().replace('_', '-')}"
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("boot", name), user=f"{name}:{code}")
    certificate = device.keep("boot", answer.certificate)
    bodies = [device.renewal_request(f"n{number}", certificate) for number in range(3)]

    context = ssl.create_default_context(cafile=str(device.installation.root))
    context.maximum_version = version
    context.load_cert_chain(device.folder / "boot.pem", device.folder / "boot.key")

    with connection(device, context) as opened:
        assert renew(opened, bodies[0]) == 200
        secured = opened.sock
        device.installation.run("device", "disable", name, "--reason", "test")
        assert renew(opened, bodies[1]) == 403
        assert opened.sock is secured, "the second request went over another connection"
        assert isinstance(secured, ssl.SSLSocket)
        session = secured.session

    with connection(device, context, session) as resumed:
        assert isinstance(resumed.sock, ssl.SSLSocket)
        assert not resumed.sock.session_reused, "est-T20: sessions are not resumed"
        assert renew(resumed, bodies[2]) == 403
