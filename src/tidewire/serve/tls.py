"""What a server shows its clients over TLS."""

import os
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from tidewire.core.errors import ConfigurationError

CERTIFICATE_OPTION: Final = "--ssl-certfile"
KEY_OPTION: Final = "--ssl-keyfile"


class Certificate(NamedTuple):
    """A certificate and its key, as PEM files.

    Attributes:
        certfile: the certificate, and after it those that vouch for it.
        keyfile: its private key, without a passphrase.
    """

    certfile: str
    keyfile: str

    def check(self) -> None:
        """Looks whether a server can use them.

        Raises:
            ConfigurationError: it cannot; the text names the option.
        """
        # Here and not above: most servers have none.
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from cryptography.x509 import load_pem_x509_certificates

        certificate = _read(self.certfile, CERTIFICATE_OPTION)
        key = _read(self.keyfile, KEY_OPTION)
        try:
            load_pem_x509_certificates(certificate)
        except ValueError as error:
            raise ConfigurationError(
                f"There is no certificate in {self.certfile} ({CERTIFICATE_OPTION}). It must be a "
                "PEM file."
            ) from error
        try:
            load_pem_private_key(key, None)
        except TypeError as error:
            raise ConfigurationError(
                f"The key in {self.keyfile} ({KEY_OPTION}) has a passphrase, and nobody is there "
                "to be asked for it. Store it without one."
            ) from error
        except ValueError as error:
            raise ConfigurationError(
                f"There is no private key in {self.keyfile} ({KEY_OPTION}). It must be a PEM file."
            ) from error
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certfile, self.keyfile)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"The key in {self.keyfile} ({KEY_OPTION}) is not that of the certificate in "
                f"{self.certfile} ({CERTIFICATE_OPTION}), or neither is of a kind that TLS takes: "
                f"{error.reason}."
            ) from error


def certificate(certfile: str | None, keyfile: str | None) -> Certificate | None:
    """What two options ask for; None if nothing.

    Raises:
        ConfigurationError: one came without the other, or they cannot be used.
    """
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        given, other = (CERTIFICATE_OPTION, KEY_OPTION)[:: 1 if keyfile is None else -1]
        raise ConfigurationError(f"{given} needs {other}, too.")
    found = Certificate(certfile, keyfile)
    found.check()
    return found


def _read(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigurationError(f"Cannot read {path} ({option}): {reason}.") from error
