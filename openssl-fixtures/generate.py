"""Makes the fixtures of this folder anew, with the commands that MANIFEST.toml gives."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "MANIFEST.toml"

BIT_STRING = 0x03
CONSTRUCTED = 0x20
LONG_FORM = 0x80


class GenerationError(Exception):
    """A fixture cannot be made; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """One file: what it is for and how it is made."""

    name: str
    purpose: str
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One DER element; a primitive one has content, a constructed one has parts."""

    tag: int
    content: bytes = b""
    parts: tuple["Element", ...] = ()


def read_manifest(path: Path = MANIFEST) -> tuple[Fixture, ...]:
    """Read the fixtures in the order in which they are to be made."""
    entries = tomllib.loads(path.read_text())["file"]
    return tuple(
        Fixture(
            name=entry["name"],
            purpose=entry["purpose"],
            commands=tuple(tuple(command) for command in entry["commands"]),
        )
        for entry in entries
    )


def generate(out: Path, fixtures: Sequence[Fixture]) -> None:
    """Make all fixtures and put them under `out`; what openssl leaves beside them is dropped.

    Raises GenerationError.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for each in HERE.glob("*.cnf"):
            shutil.copy(each, work)
        (work / "index.txt").touch()
        for fixture in fixtures:
            (work / fixture.name).parent.mkdir(parents=True, exist_ok=True)
            for command in fixture.commands:
                _run(command, work, fixture.name)
        for fixture in fixtures:
            (out / fixture.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / fixture.name, out / fixture.name)


def decode(der: bytes) -> Element:
    """Read one DER element and what is inside. Raises GenerationError when octets are left over."""
    element, end = _decode_at(der, 0)
    if end != len(der):
        raise GenerationError(f"{len(der) - end} octets follow the outermost element")
    return element


def encode(element: Element) -> bytes:
    """Write an element as DER."""
    return _encode(element, _shortest_length)


def encode_indefinite(element: Element) -> bytes:
    """Write an element as BER, constructed parts with the indefinite length (X.690 §8.1.3.6)."""
    if not element.tag & CONSTRUCTED:
        return encode(element)
    inside = b"".join(encode_indefinite(part) for part in element.parts)
    return bytes([element.tag, LONG_FORM]) + inside + b"\x00\x00"


def encode_indefinite_outside(element: Element) -> bytes:
    """Write an element as BER, only itself with the indefinite length: what is signed stays DER."""
    inside = b"".join(encode(part) for part in element.parts)
    return bytes([element.tag, LONG_FORM]) + inside + b"\x00\x00"


def encode_long(element: Element) -> bytes:
    """Write an element as BER, each length in four octets where fewer would do."""
    return _encode(element, lambda length: b"\x84" + length.to_bytes(4))


def break_signature(request: Element) -> Element:
    """Change the last octet of the signature."""
    info, algorithm, signature = request.parts
    broken = signature.content[:-1] + bytes([signature.content[-1] ^ 0x01])
    changed = Element(tag=BIT_STRING, content=broken)
    return Element(tag=request.tag, parts=(info, algorithm, changed))


def swap_key(request: Element, other: Element) -> Element:
    """Put the public key of another request into this one, under this one's signature."""
    info, algorithm, signature = request.parts
    version, subject, _, *attributes = info.parts
    strange = other.parts[0].parts[2]
    changed = Element(tag=info.tag, parts=(version, subject, strange, *attributes))
    return Element(tag=request.tag, parts=(changed, algorithm, signature))


def many_names(count: int) -> str:
    """Write a configuration with so many subject alternative names."""
    names = "\n".join(f"DNS.{number} = n{number:04}.example.org" for number in range(count))
    return (
        "[ many_names ]\nprompt = no\ndistinguished_name = pump\nreq_extensions = extensions\n"
        "[ pump ]\nCN = pump-1\n[ extensions ]\nsubjectAltName = @names\n"
        f"[ names ]\n{names}\n"
    )


def long_subject(count: int) -> str:
    """Write a configuration with so many organizational units of 64 characters."""
    units = "\n".join(f"{number}.OU = {number:064}" for number in range(count))
    return (
        "[ long_subject ]\nprompt = no\ndistinguished_name = pump\n"
        f"[ pump ]\nCN = pump-1\n{units}\n"
    )


def _edit(words: Sequence[str], work: Path) -> None:
    kind, *sources, target = words
    texts: dict[str, Callable[[int], str]] = {
        "many-names": many_names,
        "long-subject": long_subject,
    }
    if kind in texts:
        (work / target).write_text(texts[kind](int(sources[0])))
        return
    elements = [decode((work / source).read_bytes()) for source in sources]
    match kind, elements:
        case "indefinite", [request]:
            made = encode_indefinite(request)
        case "indefinite-outside", [request]:
            made = encode_indefinite_outside(request)
        case "long-lengths", [request]:
            made = encode_long(request)
        case "break-signature", [request]:
            made = encode(break_signature(request))
        case "swap-key", [request, other]:
            made = encode(swap_key(request, other))
        case "append", [request]:
            made = encode(request) + b"\x00"
        case _:
            raise GenerationError(f"there is no edit {kind!r} of {len(elements)} files")
    (work / target).write_bytes(made)


def _run(command: Sequence[str], work: Path, name: str) -> None:
    program, *words = command
    if program == "edit":
        _edit(words, work)
        return
    if program != "openssl":
        raise GenerationError(f"{name}: a command begins with openssl or edit, not {program!r}")
    done = subprocess.run([program, *words], cwd=work, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise GenerationError(f"{name}: {' '.join(command)}\n{said}")


def _decode_at(der: bytes, start: int) -> tuple[Element, int]:
    tag, first = der[start], der[start + 1]
    begin = start + 2
    length = first
    if first & LONG_FORM:
        begin += first ^ LONG_FORM
        length = int.from_bytes(der[start + 2 : begin])
    end = begin + length
    if not tag & CONSTRUCTED:
        return Element(tag=tag, content=der[begin:end]), end
    parts = []
    while begin < end:
        part, begin = _decode_at(der, begin)
        parts.append(part)
    return Element(tag=tag, parts=tuple(parts)), end


def _encode(element: Element, to_length: Callable[[int], bytes]) -> bytes:
    inside = element.content + b"".join(_encode(part, to_length) for part in element.parts)
    return bytes([element.tag]) + to_length(len(inside)) + inside


def _shortest_length(length: int) -> bytes:
    if length < LONG_FORM:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([LONG_FORM | len(octets)]) + octets


def main() -> None:
    """Make all fixtures here, or in the folder that `--out` names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="where the files go (default: here)")
    fixtures = read_manifest()
    try:
        generate(parser.parse_args().out, fixtures)
    except (GenerationError, OSError) as error:
        sys.exit(f"generate: {error}")
    print(f"{len(fixtures)} files made")


if __name__ == "__main__":
    main()
