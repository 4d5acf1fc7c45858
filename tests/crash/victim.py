"""A server that is killed at a named point of its first enrollment: `python -m … HOME POINT`."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from enroll.certificates import IssuanceOrder, IssuedCertificate
from enroll.pipeline import Pipeline
from enroll.request import EnrollmentRequest
from enroll.result import EnrollmentResult
from registry.database import WriteTransaction
from server.clock import SystemRandomness
from server.config.load import load_config
from server.home import Home
from server.key_generation import ThreadedKeyGenerator
from server.listening import write_ready_file
from server.process import Server
from server.trials import ThreadedSecretTrier
from server.wiring import Works, open_works

POINTS = ("decoded", "decided", "signed", "written", "committed")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingAuthority:
    """Dies before or after it signs."""

    def __init__(self, authority: Any, point: str) -> None:
        self._authority = authority
        self._point = point

    async def issue(self, order: IssuanceOrder) -> IssuedCertificate:
        if self._point == "decided":
            die()
        issued: IssuedCertificate = await self._authority.issue(order)
        if self._point == "signed":
            die()
        return issued

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authority, name)


class DyingPipeline:
    """Dies between a request's decoding and its decision."""

    async def handle(self, request: EnrollmentRequest) -> EnrollmentResult:
        del request
        die()
        raise AssertionError("it is dead")


class DyingDatabase:
    """Dies before or after it commits."""

    def __init__(self, database: Any, point: str) -> None:
        self._database = database
        self._point = point

    async def write(self) -> WriteTransaction:
        transaction: Any = await self._database.write()
        commit = transaction.commit

        async def commit_and_die() -> None:
            if self._point == "written":
                die()
            await commit()
            die()

        transaction.commit = commit_and_die
        return transaction  # type: ignore[no-any-return]  # one of the database's own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def doomed(works: Works, point: str) -> Works:
    """Put what dies in the place of what does not."""
    if point == "decoded":
        return replace(works, pipeline=DyingPipeline())  # type: ignore[arg-type]  # as much of one as is asked
    office = works.office
    pipeline = Pipeline(
        registry=office.registry,
        authority=DyingAuthority(works.authority, point),
        vault=office.secrets,
        clock=office.clock,
        randomness=SystemRandomness(),
        key_generator=ThreadedKeyGenerator(waiting=0, per_hour=0),
        decision_maker=works.webhooks,
        secret_trier=ThreadedSecretTrier(),
    )
    return replace(works, pipeline=pipeline)


async def serve(home: Home, point: str) -> None:
    addresses = {"https": "127.0.0.1:0", "http": "", "management": ""}
    works = open_works(home, load_config(home.configuration, addresses), stream="server")
    server = Server(doomed(works, point))
    await server.open()
    listening = await server.listen()
    if point in {"written", "committed"}:  # Only now: opening commits too.
        writer: Any = works.office.registry._writer  # noqa: SLF001 - nobody else commits
        writer._database = DyingDatabase(writer._database, point)  # noqa: SLF001 - as above
    write_ready_file(home.path / "ready.json", listening)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Home(Path(sys.argv[1])), sys.argv[2]))
