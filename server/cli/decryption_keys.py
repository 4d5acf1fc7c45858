"""enroll device decryption-key: add, list, remove."""

from pathlib import Path
from typing import Annotated

import typer

from enroll.decryption_keys import DecryptionKeyError
from enroll.key_generation import DecryptionKey
from server.cli.office import Office, actor, find_device, work
from server.cli.output import Data, Format, Output, Yes, confirm, show, show_all, when
from server.home import read_private

app = typer.Typer(
    no_args_is_help=True, help="Symmetric keys of devices, for keys that are made for them."
)

Reference = Annotated[
    str, typer.Argument(metavar="DEVICE", help="The device's name, serial number or id.")
]
Identifier = Annotated[
    str,
    typer.Argument(metavar="ID", help="What the device's DecryptKeyIdentifier says, in hex."),
]
COLUMNS = ("key_identifier", "octets", "created_at")


@app.command()
def add(
    context: typer.Context,
    device: Reference,
    identifier: Identifier,
    key_file: Annotated[
        Path,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="16, 24 or 32 octets in hex ('openssl rand -hex 32'), readable by you alone.",
        ),
    ],
    output: Output = Format.TEXT,
) -> None:
    """Keep a symmetric key that the device holds; it is wrapped, and never shown."""
    key = _read_key(key_file)

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        await office.decryption_keys.add(found.device_id, identifier, key, actor=actor())
        return {"name": found.name, "decryption_keys": await _keys(office, found.device_id)}

    show(work(context, run), output, {"decryption_keys": COLUMNS})


@app.command("list")
def list_(context: typer.Context, device: Reference, output: Output = Format.TEXT) -> None:
    """List a device's symmetric keys by their identifiers."""

    async def run(office: Office) -> list[Data]:
        found = await find_device(office, device)
        return await _keys(office, found.device_id)

    show_all(work(context, run), COLUMNS, output)


@app.command()
def remove(
    context: typer.Context,
    device: Reference,
    identifier: Identifier,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Forget a symmetric key: nothing more is encrypted to it."""
    confirm(f"Forget decryption key {identifier} of {device}?", yes=yes)

    async def run(office: Office) -> Data:
        found = await find_device(office, device)
        await office.decryption_keys.remove(found.device_id, identifier, actor=actor())
        return {"name": found.name, "decryption_keys": await _keys(office, found.device_id)}

    show(work(context, run), output, {"decryption_keys": COLUMNS})


def _read_key(path: Path) -> bytes:
    try:
        return bytes.fromhex(read_private(path).decode("ascii").strip())
    except ValueError:
        raise DecryptionKeyError(
            f"{path}: expected 16, 24 or 32 octets in hex, as 'openssl rand -hex 32' writes them"
        ) from None


async def _keys(office: Office, device_id: str) -> list[Data]:
    return [_data(each) for each in await office.decryption_keys.of_device(device_id)]


def _data(key: DecryptionKey) -> Data:
    return {
        "key_identifier": key.key_identifier,
        "octets": key.octets,
        "created_at": when(key.created_at),
    }
