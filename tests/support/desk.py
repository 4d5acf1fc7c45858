"""An installation without a server: devices enroll through its own pipeline, in this process."""

import asyncio
import itertools

from enroll.profiles import ProtocolName
from enroll.request import RequestOrigin
from enroll.result import EnrollmentResult, Issued
from protocols import pkcs10
from server.clock import SystemClock
from server.config.load import load_config
from server.home import Home
from server.wiring import open_works
from tests.support.enrollment import Ask, Held, a_request
from tests.support.installation import Installation

_numbers = itertools.count(1)


def send(installation: Installation, ask: Ask) -> EnrollmentResult:
    """Have the installation's pipeline decide."""
    origin = RequestOrigin(
        correlation_id=f"{next(_numbers):016x}",
        protocol=ProtocolName.EST,
        operation=ask.operation.value,
        profile=ask.profile,
        peer_address="192.0.2.7",
        received_at=SystemClock().now(),
    )
    request = a_request(ask, certificate_request=pkcs10.decode(ask.csr), origin=origin)

    async def decide() -> EnrollmentResult:
        home = Home(installation.home)
        works = open_works(home, load_config(home.configuration), stream="server")
        try:
            return await works.pipeline.handle(request)
        finally:
            await works.close()

    return asyncio.run(decide())


def obtain(installation: Installation, ask: Ask) -> Held:
    """Have the installation's pipeline issue."""
    result = send(installation, ask)
    assert isinstance(result, Issued), result
    return Held(der=result.record.der, key=ask.key)
