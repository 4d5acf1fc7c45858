"""Decision webhooks: questions put to the operator's own systems over HTTP, signed and bounded."""

import asyncio
import base64
import binascii
import hmac
import json
import re
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Literal

import aiohttp
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enroll.failures import AuthorityUnavailable
from enroll.policy.attributes import objection_to_attribute
from enroll.ports import Clock
from enroll.profiles import PolicySnapshot
from enroll.ruling import Question, Ruling
from server.config.model import WebhookSection
from server.home import Home, HomeError, read_private

MAXIMUM_ANSWER = 64 * 1024
MAXIMUM_REASON = 300
SECRET_LENGTHS = range(24, 65)
"""How many octets a secret may have, as Standard Webhooks recommends."""
IDLE_SECONDS = 4.0
"""How long an idle connection is kept: less than the five seconds after which many servers go."""
RETRY_AFTER = 10
WAITING = 8
"""How many questions may be under way for each connection; one more is refused at once.

A receiver that is silent would keep requests of other profiles from their turn.
"""

Observe = Callable[[str, str, float], None]
"""Told after each question: the webhook, `allow`, `deny`, `enrich` or `failed`, and the seconds."""
_log = structlog.get_logger("webhooks")


def _unobserved(name: str, outcome: str, seconds: float) -> None:
    del name, outcome, seconds


class _Answer(BaseModel):
    """The document that is expected; anything more is an answer to something else."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    decision: Literal["allow", "deny", "enrich"]
    reason: str = ""
    attributes: Annotated[dict[str, str], Field(max_length=64)] = {}


class WebhookFailed(Exception):  # noqa: N818 - what an answer is when it is none
    """There is no good answer; the message says why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One receiver: where it is, the key that signs what is sent there, what it may set."""

    name: str
    url: str
    key: bytes = field(repr=False)
    tls: ssl.SSLContext
    seconds: float
    concurrent: int
    attributes: frozenset[str]


class Webhooks:
    """Implements `enroll.ruling.DecisionMaker`. Use it in one event loop, and close it."""

    def __init__(self, webhooks: Mapping[str, Webhook], clock: Clock) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._under_way: Counter[str] = Counter()
        self.observe: Observe = _unobserved

    async def rule(self, question: Question) -> Ruling:
        """Ask. Raises AuthorityUnavailable."""
        webhook = self._webhooks.get(question.webhook)
        if webhook is None:
            raise AuthorityUnavailable(
                f"there is no [webhooks.{question.webhook}] in the configuration, which profile "
                f"{question.profile!r} asks",
                finding="webhook_unknown",
                retry_after=60,
            )
        begin, outcome = time.monotonic(), "failed"
        self._under_way[webhook.name] += 1
        try:
            answer = decode_answer(await self._answer(webhook, question), webhook.attributes)
            outcome = answer.decision
        except WebhookFailed as error:
            detail = _printable(str(error))
            _log.warning("no decision", webhook=webhook.name, detail=detail)
            raise AuthorityUnavailable(
                f"webhook {webhook.name!r} gave no decision: {detail}",
                finding="webhook_unavailable",
                retry_after=RETRY_AFTER,
            ) from error
        finally:
            self._under_way[webhook.name] -= 1
            self.observe(webhook.name, outcome, time.monotonic() - begin)
        return Ruling(
            allowed=answer.decision != "deny",
            reason=_printable(answer.reason),
            attributes=answer.attributes,
        )

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _answer(self, webhook: Webhook, question: Question) -> bytes:
        """Send the question and read what comes back, all of it in time. Raises WebhookFailed."""
        if self._under_way[webhook.name] > webhook.concurrent * WAITING:
            raise WebhookFailed("too many questions wait for it already")
        body = encode_question(question)
        headers = signed_headers(webhook.key, body, int(self._clock.now().timestamp()))
        try:
            async with asyncio.timeout(webhook.seconds):
                sending = self._session(webhook).post(
                    webhook.url, data=body, headers=headers, allow_redirects=False
                )
                async with sending as response:
                    return await _read(response)
        except TimeoutError:
            raise WebhookFailed(f"none came within {webhook.seconds:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebhookFailed(str(error) or type(error).__name__) from error

    def _session(self, webhook: Webhook) -> aiohttp.ClientSession:
        session = self._sessions.get(webhook.name)
        if session is None:
            session = self._sessions[webhook.name] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=webhook.tls, limit=webhook.concurrent, keepalive_timeout=IDLE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # It is kept for the whole in `_answer`.
                auto_decompress=False,
                trust_env=False,
            )
        return session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if response.status != HTTPStatus.OK:
        raise WebhookFailed(f"expected status 200, got {response.status}")
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAXIMUM_ANSWER:
            raise WebhookFailed(f"expected at most {MAXIMUM_ANSWER} octets")
    return bytes(body)


def encode_question(question: Question) -> bytes:
    """Write the document that a receiver gets (docs/operations.md)."""
    document = {
        "type": "enrollment.decision",
        "correlation_id": question.correlation_id,
        "protocol": question.protocol.value,
        "operation": question.operation.value,
        "profile": question.profile,
        "device": {
            "id": question.device_id,
            "name": question.device_name,
            "serial_number": question.device_serial_number,
            "group": question.group,
            "attributes": dict(question.attributes),
        },
        "request": {
            "subject": question.subject,
            "subject_alternative_names": list(question.names),
            "spki_sha256": question.spki_sha256,
            "key_algorithm": question.key_algorithm.value,
        },
        "credential": question.credential.value,
        "registration_authority": question.registration_authority,
        "peer_address": question.peer_address,
    }
    return json.dumps(document).encode()


def signed_headers(key: bytes, body: bytes, timestamp: int) -> dict[str, str]:
    """Sign a message as Standard Webhooks has it: HMAC-SHA-256 of id, timestamp and body."""
    message_id = f"msg_{secrets.token_hex(16)}"
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def decode_answer(body: bytes, settable: frozenset[str]) -> _Answer:
    """Read an answer, which may set these attributes only. Raises WebhookFailed."""
    try:
        answer = _Answer.model_validate(json.loads(body, object_pairs_hook=_without_doubles))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise WebhookFailed(f"the answer cannot be read: {place[:80]}: {fault['msg']}") from None
    except (ValueError, RecursionError):
        raise WebhookFailed("the answer is not one JSON document") from None
    if (answer.decision == "enrich") is not bool(answer.attributes):
        raise WebhookFailed("attributes come with the decision 'enrich', and only with it")
    for key, value in answer.attributes.items():
        if key not in settable:
            raise WebhookFailed(f"attribute {key[:64]!r} is not one that this webhook may set")
        objection = objection_to_attribute(key, value)
        if objection is not None:
            raise WebhookFailed(objection)
    return answer


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:MAXIMUM_REASON]).strip()


def open_webhooks(home: Home, sections: Mapping[str, WebhookSection], clock: Clock) -> Webhooks:
    """Read the secrets of all webhooks. Raises HomeError."""
    return Webhooks({name: _open(home, name, each) for name, each in sections.items()}, clock)


def _open(home: Home, name: str, section: WebhookSection) -> Webhook:
    try:
        tls = ssl.create_default_context(
            cafile=str(home.resolve(section.ca_file)) if section.ca_file else None
        )
    except (OSError, ssl.SSLError) as error:
        raise HomeError(
            f"webhooks.{name}.ca_file: {section.ca_file} holds no certificates that can be read"
        ) from error
    return Webhook(
        name=name,
        url=section.url,
        key=_secret(home, name, section),
        tls=tls,
        seconds=section.timeout_seconds,
        concurrent=section.concurrent,
        attributes=frozenset(section.attributes),
    )


def _secret(home: Home, name: str, section: WebhookSection) -> bytes:
    path = home.resolve(section.secret_file)
    text = re.sub(rb"\s", b"", read_private(path)).removeprefix(b"whsec_")
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) not in SECRET_LENGTHS:
        raise HomeError(
            f"webhooks.{name}.secret_file: {path}: expected 24 to 64 octets in base64; make them "
            "with 'openssl rand -base64 32'"
        )
    return secret


def unusable_webhooks(
    home: Home, sections: Mapping[str, WebhookSection], policy: PolicySnapshot
) -> Iterator[str]:
    """Name what keeps profiles from asking: nothing is issued by them meanwhile."""
    for slug, profile in sorted(policy.enrollment_profiles.items()):
        name = profile.decision_webhook
        if name is not None and name not in sections:
            yield (
                f"profile {slug!r} asks {name!r}, and there is no [webhooks.{name}] in the "
                "configuration: nothing is issued by it"
            )
    for name, section in sections.items():
        try:
            _open(home, name, section)
        except HomeError as error:
            yield f"{error}: the server will not start"
