"""The settings, from the environment or from the caller."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from tidewire.core.errors import ConfigurationError
from tidewire.logs import DEFAULT_NAME, MEMORY, Retention

SECRET_SETTINGS: Final = ("SSE_JWT_SECRET", "NEXTAUTH_SECRET")
CLIENT_SETTINGS: Final = frozenset({"TIDEWIRE_URL", "TIDEWIRE_TOKEN"})
"""Read by the command line where it talks to a server."""


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Listed = Annotated[tuple[str, ...], BeforeValidator(_split)]


Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """What can be set. Each field is read from the environment variable that is its alias.

    Durations are in seconds, sizes in bytes.
    """

    model_config = ConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    nextauth_url: str | None = Field(None, alias="NEXTAUTH_URL")
    nextauth_secret: SecretStr | None = Field(None, alias="NEXTAUTH_SECRET")
    sse_jwt_secret: SecretStr | None = Field(None, alias="SSE_JWT_SECRET")
    jwks: str | None = Field(None, alias="TIDEWIRE_JWKS")
    jwt_issuer: str | None = Field(None, alias="TIDEWIRE_JWT_ISSUER")
    jwt_audiences: Listed = Field(("tidewire",), alias="TIDEWIRE_JWT_AUDIENCES", min_length=1)
    claims: Listed = Field((), alias="TIDEWIRE_CLAIMS")
    log_url: SecretStr | None = Field(None, alias="TIDEWIRE_LOG_URL")
    dragonfly_url: SecretStr | None = Field(None, alias="DRAGONFLY_URL")
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")
    log_name: str = Field(DEFAULT_NAME, alias="TIDEWIRE_LOG_NAME")
    spool_dir: Path | None = Field(None, alias="TIDEWIRE_SPOOL_DIR")
    retention_events: int = Field(100_000, alias="TIDEWIRE_RETENTION_EVENTS", gt=0)
    retention_seconds: Seconds = Field(3600, alias="TIDEWIRE_RETENTION_SECONDS", gt=0)
    retention_bytes: int = Field(64 * 1024 * 1024, alias="TIDEWIRE_RETENTION_BYTES", gt=0)
    ping_interval: Seconds = Field(30, alias="TIDEWIRE_PING_INTERVAL", gt=0)
    drain_seconds: Seconds = Field(1, alias="TIDEWIRE_DRAIN_SECONDS", ge=0)
    max_replay_events: int = Field(10_000, alias="TIDEWIRE_MAX_REPLAY_EVENTS", ge=0)
    admin_roles: Listed = Field(("ADMIN", "SUPER_ADMIN"), alias="TIDEWIRE_ADMIN_ROLES")
    rate_limits: str = Field("", alias="TIDEWIRE_RATE_LIMITS")
    rate_limit_redis_url: SecretStr | None = Field(None, alias="RATE_LIMIT_REDIS_URL")
    max_connections_per_user: int = Field(10, alias="TIDEWIRE_MAX_CONNECTIONS_PER_USER", ge=0)
    max_connections: int | None = Field(None, alias="TIDEWIRE_MAX_CONNECTIONS", ge=0)
    metrics_token: SecretStr | None = Field(None, alias="TIDEWIRE_METRICS_TOKEN")
    trusted_proxies: Listed = Field((), alias="TIDEWIRE_TRUSTED_PROXIES")
    cors_origins: Listed | None = Field(None, alias="TIDEWIRE_CORS_ORIGINS")

    def __init__(self, **given: Any) -> None:
        """Reads the environment; what is given, by field or by variable, wins.

        Raises:
            ValidationError: a value is not of its form.
        """
        read: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            # Compose files and the like set what is not set to nothing.
            if name not in given and field.alias and (text := os.environ.get(field.alias)):
                read[field.alias] = text
        super().__init__(**{**read, **given})

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Reads the environment; what is given wins.

        Raises:
            ConfigurationError: a value is not of its form; the error names the setting.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ConfigurationError(f"{first['loc'][0]}: {first['msg']}.") from None

    @property
    def retention(self) -> Retention:
        return Retention(self.retention_events, self.retention_seconds, self.retention_bytes)

    @property
    def log_address(self) -> str:
        """Where the log is; it may hold a password."""
        for url in (self.log_url, self.dragonfly_url, self.redis_url):
            if url is not None:
                return url.get_secret_value()
        return MEMORY

    @property
    def secrets(self) -> tuple[str, ...]:
        """The signing secrets, newest first; empty if none is set."""
        if self.sse_jwt_secret is not None:
            return tuple(_split(self.sse_jwt_secret.get_secret_value()))
        if self.nextauth_secret is not None:
            return (self.nextauth_secret.get_secret_value(),)
        return ()

    @property
    def secret_setting(self) -> str:
        """The setting that the secrets came from."""
        return SECRET_SETTINGS[0] if self.sse_jwt_secret is not None else SECRET_SETTINGS[1]


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and are none: a misspelt setting does nothing, silently."""
    known = CLIENT_SETTINGS | {field.alias for field in Settings.model_fields.values()}
    return sorted(
        name for name in environment if name.startswith("TIDEWIRE_") and name not in known
    )
