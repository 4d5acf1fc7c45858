"""Read the configuration; every fault names its key and what was expected."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
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
    ServerSection,
    TLSSection,
)

FILE_NAME = "enroll.toml"
PREFIX = "ENROLL_"
SECRETS = (("database", "url"),)
"""Keys whose value may stand in a file named by `ENROLL_SECTION__KEY_FILE`."""


class ConfigurationError(Exception):
    """The configuration cannot be used; each line of the message names a key."""


class Config(BaseSettings):
    """The whole configuration, frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    server: ServerSection = ServerSection()
    tls: TLSSection = TLSSection()
    database: DatabaseSection = DatabaseSection()
    keys: KeysSection = KeysSection()
    limits: LimitsSection = LimitsSection()
    attempts: AttemptsSection = AttemptsSection()
    crl: CRLSection = CRLSection()
    log: LogSection = LogSection()


def load_config(path: Path) -> Config:
    """Read the file and the environment over it. Raises ConfigurationError."""

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
            del init_settings, dotenv_settings, file_secret_settings
            toml = TomlConfigSettingsSource(settings_cls, toml_file=path)
            return (_SecretFiles(settings_cls), _WithoutFiles(env_settings), toml)

    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; make a home with 'enroll init'")
    try:
        return _Located()
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


class _SecretFiles(PydanticBaseSettingsSource):
    """Values of secret keys out of files that the environment names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self().get(field_name), field_name, True

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for section, key in SECRETS:
            name = f"{PREFIX}{section.upper()}__{key.upper()}_FILE"
            location = os.environ.get(name)
            if location is None:
                continue
            try:
                value = Path(location).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{name}: cannot read the file: {error}") from error
            found.setdefault(section, {})[key] = value
        return found


class _WithoutFiles(PydanticBaseSettingsSource):
    """The environment's values, less the `_FILE` names that another source reads."""

    def __init__(self, inner: PydanticBaseSettingsSource) -> None:
        super().__init__(inner.settings_cls)
        self._inner = inner

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._inner.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = dict(self._inner())
        for section, key in SECRETS:
            table = values.get(section)
            if isinstance(table, dict):
                values[section] = {k: v for k, v in table.items() if k != f"{key}_file"}
        return values


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{key}: there is no such key; see docs/operations.md for those there are")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {message[0].lower()}{message[1:]}")
    return "\n".join(lines)
