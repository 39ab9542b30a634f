"""A certificate for `localhost` that vouches for itself."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

WORDS = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
)


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate; ``both`` has the key behind it, as HAProxy wants it."""

    file: Path
    key: Path
    both: Path

    @classmethod
    def make(cls, folder: Path) -> "Certificate":
        made = cls(*(folder / name for name in ("certificate.pem", "key.pem", "both.pem")))
        command = [*WORDS.split(), "-keyout", str(made.key), "-out", str(made.file)]
        subprocess.run(command, check=True, capture_output=True)
        made.both.write_text(made.file.read_text() + made.key.read_text())
        return made

    def trusted(self) -> ssl.SSLContext:
        """For clients that speak HTTP/1.1."""
        return ssl.create_default_context(cafile=self.file)
