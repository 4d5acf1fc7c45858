"""Values as people write them on a command line: durations, pairs, and settings of profiles."""

import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from enroll.profiles import CertificateProfile, DeviceGroup, EnrollmentProfile
from enroll.trust import TrustAnchor
from server import times

_PAIR = tuple[str, str]
_FIXED = frozenset(
    {
        "slug",
        "name",
        "tenant_id",
        "group_id",
        "version",
        "anchor_id",
        "purpose",
        "der",
        "intermediates",
        "secrets",
    }
)
_UNSHOWN = frozenset({"tenant_id", "group_id", "anchor_id", "der", "intermediates", "secrets"})
Policy = TypeVar("Policy", CertificateProfile, DeviceGroup, EnrollmentProfile, TrustAnchor)


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises typer.BadParameter."""
    try:
        return times.parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_time(text: str) -> datetime:
    """Read a time. Raises typer.BadParameter."""
    try:
        return times.parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """Read `KEY=VALUE` items. Raises typer.BadParameter."""
    pairs = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{option}: expected KEY=VALUE, got {item!r}")
        if key in pairs:
            raise typer.BadParameter(f"{option}: {key} is given twice")
        pairs[key] = value
    return pairs


def with_settings(policy: Policy, settings: dict[str, str]) -> Policy:
    """Change fields of a profile, group or trust anchor by name.

    Raises typer.BadParameter, naming the key.
    """
    known = _hints(type(policy))
    changed: dict[str, object] = {}
    for key, text in settings.items():
        if key not in known:
            raise typer.BadParameter(f"{key}: there is no such key; known are {_list(known)}")
        try:
            changed[key] = _read(text, known[key])
        except typer.BadParameter as error:
            raise typer.BadParameter(f"{key}: {error.message}") from None
    return _changed(policy, changed)


def to_data(
    policy: CertificateProfile | DeviceGroup | EnrollmentProfile | TrustAnchor,
) -> dict[str, object]:
    """Show a profile, group or trust anchor in the words that `with_settings` takes."""
    data: dict[str, object] = {}
    for each in fields(policy):
        value = getattr(policy, each.name)
        if each.name in _UNSHOWN:
            continue
        if is_dataclass(value):
            for inner in fields(value):
                data[f"{each.name}.{inner.name}"] = _write(getattr(value, inner.name))
        else:
            data[each.name] = _write(value)
    return data


def _hints(policy: type[object]) -> dict[str, object]:
    """Give the keys that may be set, with their types: of a protocol's options, `est.KEY`."""
    known: dict[str, object] = {}
    for key, hint in get_type_hints(policy).items():
        if isinstance(hint, type) and is_dataclass(hint):
            known |= {f"{key}.{inner}": each for inner, each in get_type_hints(hint).items()}
        elif key not in _FIXED:
            known[key] = hint
    return known


def _changed(policy: Policy, values: dict[str, object]) -> Policy:
    whole: dict[str, Any] = {}
    for key, value in values.items():
        outer, dot, inner = key.partition(".")
        if dot:
            whole[outer] = replace(whole.get(outer, getattr(policy, outer)), **{inner: value})
        else:
            whole[key] = value
    return replace(policy, **whole)


def _read(text: str, hint: object) -> object:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        if text.lower() in {"", "none"}:
            return None
        return _read(text, next(each for each in get_args(hint) if each is not type(None)))
    if hint == _PAIR:
        return _read_pair(text)
    if origin in {tuple, frozenset}:
        item = get_args(hint)[0]
        parts = [part.strip() for part in re.split(r"(?<!\\),", text) if part.strip()]
        parts = [part.replace("\\,", ",") for part in parts]
        return origin(_read(part, item) for part in parts)
    return _read_one(text, hint)


def _read_one(text: str, hint: object) -> object:
    if hint is bool:
        if text.lower() not in {"true", "false"}:
            raise typer.BadParameter(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if hint is timedelta:
        return parse_duration(text)
    if hint is int:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise typer.BadParameter(f"expected a whole number, got {text!r}")
        return int(text)
    if hint is float:
        try:
            return float(text)
        except ValueError:
            raise typer.BadParameter(f"expected a number, got {text!r}") from None
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(text)
        except ValueError:
            raise typer.BadParameter(f"expected one of {_list(hint)}, got {text!r}") from None
    return text


def _read_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"expected pairs such as CN={{name}}, got {text!r}")
    return (key.strip(), value.strip())


def _write(value: object) -> object:
    if isinstance(value, timedelta):
        return times.print_duration(value)
    if isinstance(value, frozenset):
        return sorted(str(each) for each in value)
    if isinstance(value, tuple):
        return ["=".join(each) if isinstance(each, tuple) else str(each) for each in value]
    return value


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
