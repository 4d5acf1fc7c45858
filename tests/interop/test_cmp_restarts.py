"""Transactions of CMP that go on although the server is killed between any two messages."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pyasn1_modules import rfc4210

from protocols.cmp.decode import decode
from protocols.cmp.encode import MEDIA_TYPE
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIHeader
from protocols.cmp.protection import Protection, verify_signature
from protocols.wire import WireResponse
from tests.support.cmp import a_header, a_message, integer, pbm
from tests.support.cmp_conversation import FAIL_INFO, Answered, read
from tests.support.crmf import a_crm
from tests.support.csr import Key, a_key, a_name, sequence, tlv
from tests.support.installation import Installation, Running
from tests.support.waiting import within

pytestmark = pytest.mark.interop
POLL = sequence(sequence(integer(0)))


@dataclass(kw_only=True)
class Caller:
    """A device: its secret, its key, and what it heard last. Each message has its connection."""

    name: str
    key: Key
    protection: Protection
    header: PKIHeader
    heard: Answered | None = None

    def request(self) -> bytes:
        subject = a_name(self.name)
        return self.message(BodyType.IR, sequence(a_crm(self.key, number=0, subject=subject)))

    def confirmation(self) -> bytes:
        assert self.heard is not None
        given = x509.load_der_x509_certificate(self.heard.certificate)
        digest = given.fingerprint(hashes.SHA256())
        word = sequence(tlv(0x04, digest), integer(self.heard.cert_req_id))
        return self.message(BodyType.CERT_CONF, sequence(word))

    def message(self, kind: BodyType, content: bytes) -> bytes:
        before = self.heard.header.sender_nonce if self.heard is not None else None
        header = replace(self.header, sender_nonce=os.urandom(16), recip_nonce=before)
        return a_message(kind, content, header, protection=self.protection)


def a_caller(installation: Installation, name: str, *options: str) -> Caller:
    code = installation.json("device", "add", name, *options)["code"]
    return Caller(
        name=name,
        key=a_key("p-256", 1000 + len(name)),
        protection=derive_key(pbm(), code.encode()),
        header=a_header(sender_kid=name.encode(), transaction_id=os.urandom(16)),
    )


def post(server: Running, message: bytes, form: Any = rfc4210) -> Answered:
    """Post over a connection of its own, to whichever worker takes it.

    `form` is the module of pyasn1 that reads the answer.
    """
    request = urllib.request.Request(
        f"http://{server.http}/.well-known/cmp",
        data=message,
        headers={"Content-Type": MEDIA_TYPE, "Connection": "close"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the address is ours
        return read(
            WireResponse(
                status=answer.status,
                media_type=answer.headers["Content-Type"],
                body=answer.read(),
            ),
            form,
        )


def is_alive(process: psutil.Process) -> bool:
    """Tell whether it runs; who was killed may stay as a zombie where nobody waits for orphans."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def until_killed(installation: Installation, workers: int = 1) -> Iterator[Running]:
    """Serve, and kill all processes at the end: nobody tidies up."""
    with installation.serve("--workers", str(workers)) as server:
        supervisor = psutil.Process(server.process.pid)
        yield server
        victims = [supervisor, *supervisor.children()]
        for each in victims:
            os.kill(each.pid, signal.SIGKILL)
        server.process.wait(30)
        assert within(30, lambda: not any(is_alive(each) for each in victims))


def certificates_of(installation: Installation, name: str) -> list[str]:
    found = installation.json("device", "show", name)["certificates"]
    return [each["status"] for each in found]


def test_cmp_T10_H8_H17_a_server_may_be_killed_between_any_two_messages(
    installation: Installation,
) -> None:
    installation.run("group", "add", "slow", "--set", "approval=manual")
    quick, slow = a_caller(installation, "quick"), a_caller(installation, "slow", "--group", "slow")
    first, second = quick.request(), slow.request()

    with until_killed(installation, workers=2) as server:
        quick.heard = given = post(server, first)
        slow.heard = waiting = post(server, second)
        slow.heard = still = post(server, slow.message(BodyType.POLL_REQ, POLL))
    word, poll = quick.confirmation(), slow.message(BodyType.POLL_REQ, POLL)
    installation.run("approval", "approve", installation.json("approval", "list")[0]["id"])
    with until_killed(installation) as server:
        again = post(server, first)
        confirmed = post(server, word)
        slow.heard = granted = post(server, poll)
    with until_killed(installation) as server:
        repeated = post(server, word)
        told_again = post(server, poll)
        taken = post(server, slow.confirmation())

    assert given.certificate == again.certificate
    assert (waiting.status, still.kind) == (3, BodyType.POLL_REP)
    assert granted.certificate == told_again.certificate
    assert [confirmed.kind, taken.kind] == [BodyType.PKICONF] * 2
    assert repeated.fail_info == {FAIL_INFO["certConfirmed"]}
    for name in ("quick", "slow"):
        assert certificates_of(installation, name) == ["active"]
        assert installation.json("device", "show", name)["state"] == "registered"


def test_cmp_P9_P16_who_signs_messages_signs_no_certificates(installation: Installation) -> None:
    stranger = replace(a_caller(installation, "stranger"), protection=derive_key(pbm(), b"wrong"))

    with installation.serve() as server:
        answer = post(server, stranger.request())

    signer, *above = [x509.load_der_x509_certificate(each) for each in answer.extra_certs]
    verify_signature(decode(answer.octets), signer)
    assert answer.fail_info == {FAIL_INFO["badMessageCheck"]}
    assert signer.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signer.public_key() not in [each.public_key() for each in above]
    root = x509.load_pem_x509_certificate(installation.root.read_bytes())
    assert root not in above
