"""What a verb works with: the registry and its use cases, opened for the length of one command."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from enroll.device import Device
from enroll.failures import NotFound
from server.cli.output import say
from server.config.load import load_config
from server.home import Home, HomeError
from server.wiring import Office, open_office

__all__ = ["Office", "actor", "current_home", "find_device", "work"]

T = TypeVar("T")


def current_home(context: typer.Context) -> Home:
    """Give the home that the command is about; the top command has put it there."""
    home = context.find_object(Home)
    if home is None:
        raise HomeError("the command was called without its home")
    return home


def actor() -> str:
    """Name who gave the command, for the audit log."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def work(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    """Open the home's registry, do one thing with it, and close it."""
    home = current_home(context)

    async def session() -> T:
        office = open_office(home, load_config(home.configuration), stream="cli")
        try:
            return await run(office)
        finally:
            await _close(office)

    return asyncio.run(session())


async def _close(office: Office) -> None:
    """Close it; what was done is done and has to be shown, be there a checkpoint of it or not."""
    try:
        await office.close()
    except HomeError as error:
        say(f"warning: no checkpoint of the audit log was signed: {error}")


async def find_device(office: Office, reference: str) -> Device:
    """Find a device by name, id or serial number. Raises NotFound."""
    async with office.registry.unit_of_work() as uow:
        policy = await uow.policy.snapshot()
        for tenant in policy.tenants.values():
            device = await uow.devices.by_reference(tenant.tenant_id, reference)
            if device is not None:
                return device
        device = await uow.devices.by_id(reference)
    if device is None:
        raise NotFound(f"there is no device {reference!r}; see 'enroll device list'")
    return device
