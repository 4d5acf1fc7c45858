"""Passcodes as devices show them: by HTTP Basic, in a request, or by a MAC."""

from collections.abc import Callable
from dataclasses import replace

from enroll.credentials import (
    ChallengePassword,
    Credential,
    HTTPBasic,
    SharedSecretMAC,
)
from enroll.group_secrets import GroupSecrets, MadeSecret, SecretTerms
from enroll.profiles import ProtocolName
from enroll.request import EnrollmentRequest, Operation
from enroll.result import EnrollmentResult
from tests.support.builders import GROUP
from tests.support.builders import PASSCODE_REFERENCE as REFERENCE
from tests.support.csr import Key, a_name
from tests.support.enrollment import OPERATOR, Ask, Site, a_new_key


def _by_mac(reference: str, code: str) -> Credential:
    return SharedSecretMAC(username=reference, matches=lambda each: each == code, exact=True)


WAYS: dict[ProtocolName, Callable[[str, str], Credential]] = {
    ProtocolName.EST: lambda reference, code: HTTPBasic(username=reference, password=code),
    ProtocolName.SCEP: lambda _, code: ChallengePassword(password=code),
    ProtocolName.CMP: _by_mac,
}


def secrets_of(site: Site) -> GroupSecrets:
    return GroupSecrets(site.registry, site.vault, site.clock, site.randomness)


async def a_passcode(
    site: Site, *, group: str = GROUP, reference: str = REFERENCE, **terms: object
) -> MadeSecret:
    wanted = replace(SecretTerms(reference=reference.encode()), **terms)  # type: ignore[arg-type]  # a test's words
    return await secrets_of(site).add(group, wanted, actor=OPERATOR)


def shown(
    site: Site,
    way: ProtocolName,
    code: str,
    *,
    name: str = "pump-1",
    reference: str = REFERENCE,
    key: Key | None = None,
    transaction: str | None = None,
    **wishes: object,
) -> EnrollmentRequest:
    """Ask for a first certificate for the device that the subject names, by a passcode."""
    ask = Ask(operation=Operation.INITIAL, key=key or a_new_key(), subject=a_name(name))
    request = site.request(replace(ask, **wishes))  # type: ignore[arg-type]  # a test's words
    return replace(
        request,
        origin=replace(request.origin, protocol=way),
        credentials=(WAYS[way](reference, code),),
        reference=transaction,
    )


async def ask(site: Site, way: ProtocolName, code: str, **details: object) -> EnrollmentResult:
    return await site.pipeline.handle(shown(site, way, code, **details))  # type: ignore[arg-type]  # a test's words
