"""Timers: what the server does without being asked, each on its own period."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from enroll.failures import EnrollmentError

_log = structlog.get_logger("background")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do every `period` seconds; `run` must leave nothing half done when it fails."""

    name: str
    period: float
    run: Callable[[], Awaitable[object]]


class Background:
    """Runs chores side by side. One that fails is logged and tried again at its next turn."""

    def __init__(self, chores: tuple[Chore, ...]) -> None:
        self._chores = chores
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._repeat(each), name=each.name) for each in self._chores
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _repeat(self, chore: Chore) -> None:
        failing = False
        while True:
            await asyncio.sleep(chore.period)
            try:
                await chore.run()
            except EnrollmentError as error:
                if not failing:
                    _log.warning("chore failed", chore=chore.name, detail=error.detail)
                failing = True
            except Exception:  # noqa: BLE001 - a fault in one chore must not end the others
                if not failing:
                    _log.exception("chore failed", chore=chore.name)
                failing = True
            else:
                if failing:
                    _log.info("chore works again", chore=chore.name)
                failing = False
