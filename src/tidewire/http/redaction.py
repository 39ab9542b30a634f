"""What must never stand in any log: tokens, cookies, passwords."""

import contextlib
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_plus

LOGGER: Final = "tidewire.access"
REDACTED: Final = "[redacted]"
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# In the names of parameters, whatever else they are called: access_token, X-Amz-Signature.
_SECRET_PARTS: Final = re.compile(
    r"token|secret|passw|pwd|auth|session|cookie|jwt|credential|signature|key", re.IGNORECASE
)
_SECRET_NAMES: Final = frozenset({"code", "sig", "sid", "ticket", "otp"})

LONGEST: Final = 4_096
"""Characters of a text from a request that are looked at; no more of it is written."""

# These look at each run of characters once, from its beginning, and take nothing back: whoever
# sends a request must not be able to make its line of the log cost more than its length.
# RFC 7515 and 7516: the JSON of a header begins with {", so its base64url with eyJ.
_JOSE: Final = re.compile(r"(?<![\w-])((?>[\w-]*?(?=eyJ)))eyJ[\w-]{4,}+(?:\.[\w-]*+){1,4}")
_QUERY: Final = re.compile(r"\?([^\s\"'<>]+)")
_PAIR: Final = re.compile(
    r"(?<![\w.-])((?>[\w.-]*?(?:token|secret|password))[\w.-]*+=)[^\s&\"',;]+", re.IGNORECASE
)
_HEADER: Final = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie)(b?[\"']?\s*[:=,]\s*b?[\"']?)[^\"'\r\n]+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)

_PATTERNS: Final = (
    (("authorization", "cookie"), _HEADER, rf"\1\2{REDACTED}"),
    (("token", "secret", "password"), _PAIR, rf"\1{REDACTED}"),
    (("bearer", "basic"), _BEARER, rf"\1 {REDACTED}"),
    (("eyj",), _JOSE, rf"\1{REDACTED}"),
)
"""What to leave out, in this order, and the words of which one must stand there, in lower case."""

SAFE: Final = "tidewire_safe"
"""The attribute of a record with the text that was redacted when the record was made."""

_TAKEN_APART: Final = "uvicorn.access"
"""Its formatter wants the arguments, not the message."""

SHOWN_IN_PATH: Final = "/:@!$&'()*+,;=~-._"
_SHOWN_IN_QUERY: Final = SHOWN_IN_PATH + "%?[]"
_SHOWN: Final = re.compile(rf"[\w{re.escape(_SHOWN_IN_QUERY)}]*", re.ASCII)


def redact_query(query: str) -> str:
    """A query without the values that may be secret; what is no visible ASCII is encoded."""
    safe = "&".join(map(_redact_pair, query.split("&")))
    return safe if _SHOWN.fullmatch(safe) else quote(safe, safe=_SHOWN_IN_QUERY)


def redact(text: str) -> str:
    """A text without what looks like a secret: in queries, in headers, or by itself."""
    if "?" in text:
        text = _QUERY.sub(lambda match: "?" + redact_query(match[1]), text)
    return redact_words(text)


def redact_words(text: str) -> str:
    """As `redact`, for a text whose queries are redacted."""
    # To look for the words first costs a tenth of looking for the patterns. Letters beyond
    # ASCII may be the same to a pattern, but not to `lower`.
    lower = text.lower() if text.isascii() else None
    for words, pattern, left in _PATTERNS:
        for word in words:
            if lower is None or word in lower:
                text = pattern.sub(left, text)
                break
    return text


def _redact_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    # As the application will read it: %74oken is token.
    read = unquote_plus(name)
    if equals and (_SECRET_PARTS.search(read) or read.lower() in _SECRET_NAMES):
        return f"{name}={REDACTED}"
    if _JOSE.search(unquote_plus(pair)):
        return REDACTED
    return f"{name}{equals}{value}"


class RedactSecrets(logging.Filter):
    """Redacts what a logger or handler is about to write: for those who keep the access log of
    their server, or write requests into logs of their own.

    logging.getLogger("uvicorn.access").addFilter(RedactSecrets())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; lets every one through."""
        if getattr(record, SAFE, None) is record.msg and not (record.args or record.exc_info):
            return True
        if isinstance(record.args, Mapping):
            record.args = {name: _redacted(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(map(_redacted, record.args))
        if record.name != _TAKEN_APART:
            with contextlib.suppress(TypeError, ValueError, KeyError):
                # What is secret may show only where the text and its arguments meet.
                message = record.getMessage()
                if (safe := redact(message)) != message:
                    record.msg, record.args = safe, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def _redacted(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else redact(str(value))


class _Lines(logging.Formatter):
    """As by `logging.Formatter`, with the time of a second made once for all its lines."""

    _second = -1
    _shown = ""

    def formatTime(  # noqa: N802 - the name is the library's
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._shown = time.strftime(self.default_time_format, time.localtime(second))
        return f"{self._shown},{int(record.msecs):03d}"


def configure() -> None:
    """Lets the access log be written, and nothing secret by what writes it: where the
    application has not set its logging up itself, to the standard error."""
    own = logging.StreamHandler()
    own.setFormatter(_Lines(FORMAT))
    logging.basicConfig(handlers=[own])
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, RedactSecrets) for each in handler.filters):
            handler.addFilter(RedactSecrets())
