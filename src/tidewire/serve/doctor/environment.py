"""Whether the settings of this machine are what they seem to be."""

import difflib
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from tidewire.auth.limits import parse_rates
from tidewire.auth.loopback import LOOPBACK
from tidewire.auth.tokens import MIN_SECRET_BYTES
from tidewire.core.clock import SystemClock
from tidewire.core.errors import ConfigurationError
from tidewire.core.journal import NullJournal
from tidewire.http.authentication import authentication
from tidewire.http.origins import Origins, origin_of
from tidewire.http.proxies import Proxies
from tidewire.http.settings import CLIENT_SETTINGS, Settings, unknown_settings
from tidewire.logs import check_log_url, is_shared
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.streams import USUAL_IDLE_SECONDS

VALUES: Final = "settings.values"
NAMES: Final = "settings.names"
SECRETS: Final = "settings.secrets"
AGREEMENT: Final = "settings.agreement"
WORKERS: Final = "settings.workers"
FILES: Final = "settings.files"

PREFIXES: Final = ("TIDEWIRE_", "SSE_", "NEXTAUTH_")
WORKERS_SETTING: Final = "WEB_CONCURRENCY"
"""By which uvicorn and gunicorn are told how many processes to start."""

NEAR: Final = 0.75
NEARLY_THE_SAME: Final = 0.92
DISTINCT_CHARACTERS: Final = 10
FEW_FILES: Final = 4096

NEW_SECRET: Final = "Make one, the same for all servers: openssl rand -base64 32"
NEEDED: Final = (
    "To serve, set SSE_JWT_SECRET, NEXTAUTH_SECRET or TIDEWIRE_JWKS; or give Tidewire a session "
    f"callable. {NEW_SECRET}"
)


def read_settings() -> Settings | None:
    """The settings in the environment; None if they cannot be read."""
    try:
        return Settings.load()
    except ConfigurationError:
        return None


def examine(environment: Mapping[str, str], *, workers: int | None, has_url: bool) -> list[Finding]:
    """All checks of the settings.

    Args:
        environment: where they stand.
        workers: how many processes serve, if somebody says so.
        has_url: whether a deployment is looked at; then this machine need not be its server.
    """
    settings = read_settings()
    names = _names(environment)
    if settings is None:
        reason = "The settings cannot be read: see settings.values."
        rest = [skipped(name, reason) for name in (SECRETS, AGREEMENT, WORKERS)]
        return [_values(), names, *rest, _files(None)]
    return [
        _values(),
        names,
        _secrets(settings, has_url=has_url),
        _agreement(settings, environment),
        _workers(settings, environment, workers),
        _files(settings),
    ]


def _values() -> Finding:
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        return failed(VALUES, f"The server would not start. {error.detail}", "Mend that value.")
    faults = [fault for fault in map(_fault, _parsers(settings)) if fault is not None]
    if faults:
        return failed(VALUES, f"The server would not start. {' '.join(faults)}", "Mend that value.")
    given = [
        field.alias
        for name, field in Settings.model_fields.items()
        if name in settings.model_fields_set and field.alias
    ]
    told = f"{len(given)} are set, and each is of its form." if given else "None is set."
    return passed(VALUES, told, {"set": sorted(given)})


def _parsers(settings: Settings) -> Iterator[Callable[[], Any]]:
    yield lambda: parse_rates(settings.rate_limits)
    yield lambda: Proxies(settings.trusted_proxies)
    yield lambda: Origins(settings.cors_origins or ())
    yield lambda: check_log_url(settings.log_address)
    # The secrets have a check of their own.
    bare = settings.model_copy(update={"nextauth_secret": None, "sse_jwt_secret": None})
    yield lambda: authentication(bare, dev=True, clock=SystemClock(), journal=NullJournal())


def _fault(parse: Callable[[], Any]) -> str | None:
    try:
        parse()
    except ConfigurationError as error:
        return error.detail
    return None


def _names(environment: Mapping[str, str]) -> Finding:
    known = CLIENT_SETTINGS | {f.alias for f in Settings.model_fields.values() if f.alias}
    meant = {name: _by_stem(name, known) for name in unknown_settings(environment)}
    for name in environment.keys() - known - meant.keys():
        if (near := _near(name, known, NEARLY_THE_SAME)) is not None:
            meant[name] = near
    measured = {"unknown": dict(sorted(meant.items()))}
    if not meant:
        return passed(NAMES, "Every TIDEWIRE_ variable is a setting.", measured)
    told = ", ".join(
        f"{name} (meant is {near}?)" if near else name for name, near in sorted(meant.items())
    )
    reason = f"No setting, so without any effect: {told}."
    if any(meant.values()):
        return failed(NAMES, reason, "Write the name as it is in docs/commands.md.", measured)
    return warned(NAMES, reason, "Remove it, or see docs/commands.md for the names.", measured)


def _by_stem(name: str, known: Iterable[str]) -> str | None:
    # Without what all have in common, which would make any two alike.
    stems = {_stem(each): each for each in known}
    near = _near(_stem(name), stems, NEAR)
    return None if near is None else stems[near]


def _stem(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _near(name: str, known: Iterable[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(name.upper(), sorted(known), 1, cutoff)), None)


def _secrets(settings: Settings, *, has_url: bool) -> Finding:
    secrets = settings.secrets
    measured: dict[str, Any] = {
        "setting": None,
        "bytes": [len(secret.encode()) for secret in secrets],
    }
    if not secrets:
        if settings.jwks is not None:
            return passed(SECRETS, "Tokens are verified by the keys of TIDEWIRE_JWKS.", measured)
        if has_url:
            return skipped(SECRETS, "No secret is set here. The server may have one.")
        return warned(
            SECRETS, "No secret is set: a server would start only with --dev.", NEEDED, measured
        )
    name = settings.secret_setting
    measured["setting"] = name
    short = [secret for secret in secrets if len(secret.encode()) < MIN_SECRET_BYTES]
    if short:
        return failed(
            SECRETS,
            f"{name} holds a secret of {len(short[0].encode())} bytes, and needs "
            f"{MIN_SECRET_BYTES}: the server would not start.",
            NEW_SECRET,
            measured,
        )
    if any(secret != secret.strip() or secret[0] in "'\"" for secret in secrets):
        return warned(
            SECRETS,
            f"{name} begins or ends with a quote or a space, which is part of the secret.",
            "Write it without, here and wherever else it is set.",
            measured,
        )
    if any(len(set(secret)) < DISTINCT_CHARACTERS for secret in secrets):
        return warned(
            SECRETS, f"{name} is long enough, but can be guessed: it repeats.", NEW_SECRET, measured
        )
    count = "a secret" if len(secrets) == 1 else f"{len(secrets)} secrets"
    return passed(SECRETS, f"{name} holds {count}, long enough.", measured)


def _agreement(settings: Settings, environment: Mapping[str, str]) -> Finding:
    faults = list(_contradictions(settings, environment))
    if not faults:
        return passed(AGREEMENT, "No setting contradicts another.")
    return warned(
        AGREEMENT,
        " ".join(reason for reason, _ in faults),
        "\n".join(mend for _, mend in faults),
        {"count": len(faults)},
    )


def _contradictions(
    settings: Settings, environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    shared = _is_shared(settings)
    elsewhere = [name for name in ("DRAGONFLY_URL", "REDIS_URL") if environment.get(name)]
    if settings.jwks is None:
        for name in ("TIDEWIRE_JWT_ISSUER", "TIDEWIRE_JWT_AUDIENCES"):
            if environment.get(name):
                yield f"{name} has no effect without TIDEWIRE_JWKS.", f"Set both, or leave {name}."
    if settings.spool_dir is not None and not shared:
        yield (
            "TIDEWIRE_SPOOL_DIR has no effect while the log is in memory.",
            "Set TIDEWIRE_LOG_URL to a Redis.",
        )
    if settings.log_url is not None and not shared and elsewhere:
        yield (
            f"TIDEWIRE_LOG_URL says 'memory:', so {' and '.join(elsewhere)} has no effect on the "
            "log.",
            "Leave TIDEWIRE_LOG_URL out, or set it to that Redis.",
        )
    if settings.ping_interval > USUAL_IDLE_SECONDS - 5:
        yield (
            f"TIDEWIRE_PING_INTERVAL is {settings.ping_interval:g} s, and proxies cut what is "
            f"quiet for {USUAL_IDLE_SECONDS:.0f} s.",
            "Set TIDEWIRE_PING_INTERVAL=30.",
        )
    yield from _about_pages(settings)


def _about_pages(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.nextauth_url is None:
        return
    own = origin_of(settings.nextauth_url)
    if own is None:
        yield (
            "NEXTAUTH_URL is no URL with a scheme and a host, so its pages are not trusted.",
            "Write it as in https://app.example.com.",
        )
        return
    if settings.cors_origins is not None and not Origins(settings.cors_origins).allows(own):
        yield (
            f"TIDEWIRE_CORS_ORIGINS does not have {own}, the origin of NEXTAUTH_URL.",
            f"Add {own} to TIDEWIRE_CORS_ORIGINS, or leave that out: then it is the default.",
        )
    host = own.partition("://")[2].partition(":")[0]
    if own.startswith("http:") and host not in LOOPBACK:
        yield (
            f"NEXTAUTH_URL is {own}, without TLS: its session cookies can be read on the way.",
            "Serve the application over https, and say so in NEXTAUTH_URL.",
        )


def _workers(settings: Settings, environment: Mapping[str, str], workers: int | None) -> Finding:
    said = "--workers"
    if workers is None:
        told = environment.get(WORKERS_SETTING, "")
        workers, said = (int(told), WORKERS_SETTING) if told.isdigit() else (1, "")
    measured = {"workers": workers, "shared": _is_shared(settings)}
    if workers > 1 and not _is_shared(settings):
        return failed(
            WORKERS,
            f"{said} says {workers} processes, and each would have a log in its own memory: events "
            "reach only those who are at the same process.",
            "Set TIDEWIRE_LOG_URL=redis://…, or serve with one process.",
            measured,
        )
    if _is_shared(settings):
        return passed(WORKERS, "The log is one that processes share.", measured)
    return passed(WORKERS, "The log is in memory, which is right for one process.", measured)


def _is_shared(settings: Settings) -> bool:
    try:
        return is_shared(settings.log_address)
    except ConfigurationError:
        return False


def _files(settings: Settings | None) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    measured = {"soft": soft, "hard": hard}
    # `tidewire serve` raises it as far as it may.
    if hard == resource.RLIM_INFINITY:
        return passed(FILES, "The number of open files has no limit.", measured)
    mend = (
        "systemd: LimitNOFILE=65536. Docker: --ulimit nofile=65536:65536. A shell: ulimit -n, "
        "and /etc/security/limits.conf."
    )
    wanted = None if settings is None else settings.max_connections
    if wanted is not None and wanted > hard:
        return failed(
            FILES,
            f"TIDEWIRE_MAX_CONNECTIONS is {wanted:,}, and a process may have {hard:,} files open; "
            "each stream is one.",
            mend,
            measured,
        )
    room = f"A process may have {hard:,} files open, so it holds about {hard * 4 // 5:,} streams"
    if hard < FEW_FILES:
        return warned(FILES, f"{room}.", mend, measured)
    lower = f"; other servers than `tidewire serve` only {soft * 4 // 5:,}" if soft < hard else ""
    return passed(FILES, f"{room}{lower}.", measured)
