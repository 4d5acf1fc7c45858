"""Read the configuration; every fault names its key and what was expected."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server.config.model import (
    AttemptsSection,
    CRLSection,
    DatabaseSection,
    KeysSection,
    LimitsSection,
    LogSection,
    ProxySection,
    ServerSection,
    TLSSection,
    WebhookSection,
)

PREFIX = "ENROLL_"
NOTHING: Mapping[str, str] = {}
SECRETS = frozenset({("database", "url")})
"""Keys whose value may stand in a file named by `ENROLL_SECTION__KEY_FILE`."""


class ConfigurationError(Exception):
    """The configuration cannot be used; each line of the message names a key."""


class Config(BaseSettings):
    """The whole configuration, frozen."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    server: ServerSection = ServerSection()
    tls: TLSSection = TLSSection()
    database: DatabaseSection = DatabaseSection()
    keys: KeysSection = KeysSection()
    limits: LimitsSection = LimitsSection()
    proxy: ProxySection = ProxySection()
    attempts: AttemptsSection = AttemptsSection()
    crl: CRLSection = CRLSection()
    log: LogSection = LogSection()
    webhooks: dict[str, WebhookSection] = Field(default_factory=dict)


def load_config(path: Path, server: Mapping[str, str] = NOTHING) -> Config:
    """Read the file, the environment over it, and keys of `server` over both.

    Raises ConfigurationError.
    """
    config = _load(path)
    return config.model_copy(update={"server": config.server.model_copy(update=dict(server))})


def _load(path: Path) -> Config:
    environment = _environment(os.environ)

    class _Located(Config):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del init_settings, env_settings, dotenv_settings, file_secret_settings
            toml = TomlConfigSettingsSource(settings_cls, toml_file=path)
            return (_Environment(settings_cls, environment), toml)

    if not path.is_file():
        raise ConfigurationError(
            f"there is no installation at {path.parent}; make one with 'enroll init', "
            "or name another with --home"
        )
    try:
        return _Located()
    except ValidationError as error:
        faults = "\n".join(f"  {each}" for each in _explain(error, environment))
        raise ConfigurationError(f"{path} cannot be used:\n{faults}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


class _Environment(PydanticBaseSettingsSource):
    """Values of the environment, by section and key."""

    def __init__(
        self, settings_cls: type[BaseSettings], values: Mapping[tuple[str, ...], str]
    ) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self().get(field_name), field_name, True

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for (section, key), value in self._values.items():
            found.setdefault(section, {})[key] = value
        return found


def _environment(variables: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Find `ENROLL_SECTION__KEY`, and for secrets the file that `…_FILE` names."""
    found: dict[tuple[str, ...], str] = {}
    for name, value in variables.items():
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if not name.startswith(PREFIX) or not separator:
            continue
        secret = (section, key.removesuffix("_file"))
        if key.endswith("_file") and secret in SECRETS:
            if name.removesuffix("_FILE") in variables:
                raise ConfigurationError(f"{name}: {'.'.join(secret)} is given twice")
            found[secret] = _read(name, Path(value))
        else:
            found[section, key] = value
    return found


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name}: cannot read {path}: {error}") from error


def _explain(error: ValidationError, environment: Mapping[tuple[str, ...], str]) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        place = tuple(str(part) for part in fault["loc"])
        words = _WORDS.get(fault["type"])
        if words is None:
            message = fault["msg"].removeprefix("Value error, ")
            message = message.replace("Input should be", "expected", 1)
            words = f"{message[0].lower()}{message[1:]}"
        named = next((each for each in environment if each[: len(place)] == place[:2]), None)
        source = f" ({PREFIX}{'__'.join(named).upper()} in the environment)" if named else ""
        lines.append(f"{'.'.join(place)}: {words}{source}")
    return lines


_WORDS = {
    "extra_forbidden": "there is no such key; docs/operations.md lists those there are",
    "model_type": "expected a table of keys",
    "tuple_type": "expected a list",
}
"""What a configuration's author knows by another name than pydantic's."""
