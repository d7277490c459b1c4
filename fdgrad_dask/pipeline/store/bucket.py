"""A prefix of a bucket as the place of small objects, by obstore: s3://, gs://, az://.

Nothing can be added to the end of an object there. What is appended to ``KEY`` is put as segments
beside it, ``KEY.more/000001``, which are read behind it.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.source import remote

_HELD = 5.0  # seconds for which appended bytes wait for more: a request takes a tenth of one
_MORE = ".more"
_READERS = 16
_NO_BUCKET = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound", "container does not")


class Bucket:
    """Objects under one prefix, ``s3://bucket/prefix``, by the methods of `Folder`."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.path, self._options = url, options
        self._appended: dict[str, list[bytes]] = {}  # by key, what is not put yet
        self._next: dict[str, int] = {}  # by key, the number of its next segment
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    @cached_property
    def objects(self) -> Any:
        """What obstore makes of it."""
        with answering(self.path):
            return remote.objects(self.path, self._options)

    def get(self, key: str) -> bytes | None:
        """What was put; None where nothing was."""
        try:
            with answering(self.path):
                return bytes(self.objects.get(key).bytes())
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes | None:
        self.flush()
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(self.get, [key, *self._segments(key)])
            parts = [part for part in found if part is not None]
        return b"".join(parts) if parts else None

    def write(self, key: str, content: bytes) -> None:
        with self._lock:
            self._appended.pop(key, None)
            self.flush()
            with answering(self.path):
                self.objects.put(key, content)
            self._next.pop(key, None)
            self.remove(self.sizes(key + _MORE))

    def create(self, key: str, content: bytes, mode: Any = "create") -> bool:
        """Puts an object where there is none, or the version that ``mode`` has; whether it did."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with answering(self.path):
                self.objects.put(key, content, mode=mode)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return False
        return True

    def replace(self, key: str, seen: bytes, content: bytes) -> bool:
        """Puts an object in place of one that holds ``seen``; whether it did."""
        try:
            with answering(self.path):
                found = self.objects.get(key)
                version = {name: found.meta.get(name) for name in ("e_tag", "version")}
                held = bytes(found.bytes())
        except FileNotFoundError:
            return False
        known = {name: each for name, each in version.items() if each is not None}
        return held == seen and self.create(key, content, known)

    def append(self, key: str, content: bytes) -> None:
        with self._lock:
            self._appended.setdefault(key, []).append(content)
            if self._timer is None:
                self._timer = threading.Timer(_HELD, self._flush_late)
                self._timer.start()

    def flush(self) -> None:
        """Puts what was appended and waits, as all that reads and writes does first.

        OutputError: it cannot be put, and goes on waiting.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for key in list(self._appended):
                if key not in self._next:
                    last = next(iter(self._segments(key)[-1:]), "0")
                    self._next[key] = 1 + int(last[-6:])
                content = b"".join(self._appended[key])
                # One that lost its lock and lives on does not put its own in place of another.
                while not self.create(f"{key}{_MORE}/{self._next[key]:06d}", content):
                    self._next[key] += 1
                self._next[key] += 1
                del self._appended[key]

    def _flush_late(self) -> None:
        with suppress(OutputError):  # which the next that asks reports
            self.flush()

    def delete(self, key: str) -> None:
        with self._lock:
            self._appended.pop(key, None)
            self.flush()
            self._next.pop(key, None)
            self.remove([key, *self._segments(key)])

    def sizes(self, prefix: str | None = None) -> dict[str, int]:
        """The bytes of each object whose key begins with the folder ``prefix``."""
        with answering(self.path):
            listed = self.objects.list(prefix, chunk_size=1000)
            return {each["path"]: each["size"] for some in listed for each in some}

    def top(self) -> set[str]:
        """What stands before the first slash of keys."""
        with answering(self.path):
            found = self.objects.list_with_delimiter()
        return {*found["common_prefixes"], *(each["path"] for each in found["objects"])}

    def remove(self, keys: Iterable[str]) -> None:
        """Deletes objects, which may be gone already, and nothing that was appended to them."""
        given = [*keys]
        with answering(self.path):
            try:
                self.objects.delete(given)
            except FileNotFoundError:  # all but S3 stop at what is gone
                for key in given:
                    with suppress(FileNotFoundError):
                        self.objects.delete(key)

    def _segments(self, key: str) -> list[str]:
        return sorted(self.sizes(key + _MORE))


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Turns what a bucket answers into an OutputError of one sentence.

    Not that an object is missing, or there, or another one: whoever asks wants to know that.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except (BaseError, FileNotFoundError) as error:
        if any(sign in str(error) for sign in _NO_BUCKET):
            advice = "there is no such bucket; make it, or fix the URL"
        elif isinstance(error, FileNotFoundError):
            raise
        else:
            advice = remote.without_keys(error, url) or (
                f"{remote.cause_of(error)}; run again once it answers, or fix the URL or "
                "target.storage_options"
            )
        raise OutputError(f"{url} cannot be reached: {advice}") from error
