"""A spool on disk: what was accepted is in a file, synced, before the publisher is told.

Each process writes a file of its own, ``<producer>.spool``, and holds a lock on it. A process
that starts takes over the files that nobody holds a lock on. A record is its length, its CRC-32,
and its parts, each with a length before it: a head in JSON, then header and body of each event.
What was not whole when the process died was not accepted, and is left out.
"""

import contextlib
import fcntl
import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from tidewire.core.errors import ConfigurationError
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.logs.codec import decode, encode
from tidewire.logs.writer import Batch

_RECORD: Final = struct.Struct(">II")
_PART: Final = struct.Struct(">I")
_SUFFIX: Final = ".spool"
_YOUNG: Final = ".new"
YOUNG_SECONDS: Final = 60


class SpoolFile:
    """One file. Every call blocks: they are made in a thread."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.producer = path.stem
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, folder: Path, producer: str) -> Self:
        """Makes the file of a producer.

        Raises:
            OSError: the folder cannot be written to.
        """
        path = folder / f"{producer}{_SUFFIX}"
        # Locked before it has its name: nobody may take over what is just being made.
        young = path.with_suffix(_YOUNG)
        descriptor = os.open(young, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        young.rename(path)
        _sync_folder(folder)
        return cls(path, descriptor)

    def add(self, batches: Sequence[Batch]) -> None:
        """Writes batches, all or nothing, and returns when they would outlive a crash.

        Raises:
            OSError: they could not be written; the file is as it was.
        """
        data = memoryview(b"".join(_record(batch) for batch in batches))
        at = self._size
        try:
            while data:
                written = os.pwrite(self._descriptor, data, at)
                at, data = at + written, data[written:]
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size = at

    def read(self) -> list[Batch]:
        """What was accepted and is in the file."""
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return list(_batches(file.read()))

    def empty(self) -> None:
        """Lets go of everything: it has come home."""
        if self._size:
            os.ftruncate(self._descriptor, 0)
            os.fdatasync(self._descriptor)
            self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything has come home."""
        return not self._size

    def close(self, *, remove: bool) -> None:
        """Closes the file. ``remove``: it holds nothing that is still needed."""
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def prepare(folder: Path) -> None:
    """Makes the folder, and sees whether a spool could be kept there.

    Raises:
        ConfigurationError: it cannot be made or written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise ConfigurationError(
            f"TIDEWIRE_SPOOL_DIR: {folder} is no folder that can be written to. Make it, or name "
            "another one."
        )


def abandoned(folder: Path) -> list[SpoolFile]:
    """Takes over the files of processes that have ended."""
    for young in folder.glob(f"*{_YOUNG}"):
        # Of one that died while it made its own.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - young.stat().st_mtime > YOUNG_SECONDS:
                young.unlink()
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        if not path.exists():
            # Brought home and removed by another one, while we looked.
            os.close(descriptor)
            continue
        found.append(SpoolFile(path, descriptor))
    return found


def _record(batch: Batch) -> bytes:
    key = batch.key and [batch.key.scope, batch.key.digest]
    head = {"first": batch.first, "at": batch.accepted_at, "key": key}
    parts = [json.dumps(head).encode()]
    for event in batch.events:
        parts += [encode(event), event.body]
    content = b"".join(_PART.pack(len(part)) + part for part in parts)
    return _RECORD.pack(len(content), zlib.crc32(content)) + content


def _batches(data: bytes) -> Iterator[Batch]:
    at = 0
    while at + _RECORD.size <= len(data):
        length, checksum = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        content = data[at : at + length]
        # Zeros, which a crash may leave behind, look like an empty record.
        if not length or len(content) < length or zlib.crc32(content) != checksum:
            return
        at += length
        yield _batch(list(_parts(content)))


def _parts(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (length,) = _PART.unpack_from(content, at)
        at += _PART.size
        yield content[at : at + length]
        at += length


def _batch(parts: list[bytes]) -> Batch:
    head = json.loads(parts[0])
    events = list(_events(parts[1:]))
    key = IdempotencyKey(*head["key"]) if head["key"] else None
    return Batch(events, head["first"], head["at"], key, spooled=True)


def _events(parts: Sequence[bytes]) -> Iterable[Event]:
    for header, body in zip(parts[::2], parts[1::2], strict=True):
        # What a log puts in front of it is of no account here.
        yield decode(b"0-0", b"- 0 0 - - " + header, body).fresh()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
