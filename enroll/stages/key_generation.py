"""A key may be made for this device, and it is known to whom it may leave."""

from hashlib import sha256

from cryptography.exceptions import InvalidTag

from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.key_generation import (
    KeyRecipient,
    KeyWish,
    RecipientKind,
    RequestSender,
    SharedKey,
    WantedRecipient,
    wrapping_id,
)
from enroll.policy.key_generation import (
    check_cipher,
    check_encryption_asked_for,
    recipient_among,
    refused_recipient,
)
from enroll.policy.keys import spki_of
from enroll.ports import Clock, CodeVault, UnitOfWork
from enroll.steps import Authorized, Held, KeyPermitted
from enroll.trace import DecisionTrace


class PermitKey:
    """Judges how the key would leave, before it is made (RFC 7030 §4.4)."""

    def __init__(self, vault: CodeVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    async def __call__(
        self, step: Authorized, wish: KeyWish, uow: UnitOfWork, trace: DecisionTrace
    ) -> KeyPermitted:
        """Find the recipient, if one is wanted. Raises PolicyViolation, NotAuthorized."""
        return KeyPermitted(authorized=step, recipient=await self.check(step, wish, uow, trace))

    async def check(
        self, step: Authorized | Held, wish: KeyWish, uow: UnitOfWork, trace: DecisionTrace
    ) -> KeyRecipient | None:
        """Judge it also for a request that has to wait: nobody is to approve what cannot be."""
        try:
            recipient = await self._judge(step, wish, uow)
        except EnrollmentError as error:
            trace.failed("key generation", error.finding)
            raise
        to = wish.recipient.kind.value if wish.recipient is not None else "the caller, unencrypted"
        trace.passed("key generation", f"{step.key_algorithm}, to {to}")
        return recipient

    async def _judge(
        self, step: Authorized | Held, wish: KeyWish, uow: UnitOfWork
    ) -> KeyRecipient | None:
        addressed = step.identified.authenticated.addressed
        if step.identified.authenticated.newcomer is not None:
            raise NotAuthorized(
                "keys are made for devices that are registered; one that joins brings its own",
                finding="newcomer_without_key",
            )
        encrypted = wish.recipient is not None
        check_encryption_asked_for(addressed.profile.est, asked_for=encrypted)
        check_cipher(step.key_algorithm, addressed.request.channel, encrypted=encrypted)
        if wish.recipient is None:
            return None
        recipient = await self._find(step, wish.recipient, uow)
        wish.recipient.check(recipient)
        return recipient

    async def _find(
        self, step: Authorized | Held, wanted: WantedRecipient, uow: UnitOfWork
    ) -> KeyRecipient:
        if wanted.kind is RecipientKind.SENDER:
            return RequestSender()  # Their key or secret was judged when they were authenticated.
        device_id = step.identified.device.device_id
        if wanted.kind is RecipientKind.SHARED_KEY:
            return await self._shared_key(device_id, wanted.key_identifier.hex(), uow)
        # Those in use and the one that was shown: a device may have had thousands before them.
        records = [*step.identified.live]
        authenticated = step.identified.authenticated
        if authenticated.presented is not None:
            records.append(authenticated.presented)
        shown = authenticated.third_party
        if shown is not None and shown.record.device_id == device_id:
            records.append(shown.record)
        found = recipient_among(records, wanted.key_identifier, self._clock.now())
        key = await uow.keys.find(sha256(spki_of(found.public_key())).hexdigest())
        if key is not None and key.compromised:
            raise refused_recipient(
                "the key to encrypt with is known to be compromised", "recipient_compromised"
            )
        return found

    async def _shared_key(self, device_id: str, identifier: str, uow: UnitOfWork) -> SharedKey:
        kept = await uow.decryption_keys.find(device_id, identifier)
        if kept is None:
            raise refused_recipient(
                f"the device has no decryption key {identifier}; see "
                "'enroll device decryption-key'",
                "recipient_unknown",
            )
        try:
            opened = self._vault.unwrap(wrapping_id(device_id, identifier), kept.wrapped)
        except InvalidTag as error:
            raise EnrollmentError(
                FailureReason.INTERNAL,
                f"decryption key {identifier} was wrapped under another keys/registry.key than "
                "this one; remove it and add it again",
                finding="decryption_key_unreadable",
            ) from error
        return SharedKey(key_identifier=bytes.fromhex(identifier), key=bytes.fromhex(opened))
