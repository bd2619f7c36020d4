"""The lock on a run folder: one process trains in it at a time.

On one machine the operating system decides (flock), and frees the lock of a process that died.
Where hosts share a folder without sharing such locks, the owner's heartbeat decides: a lock whose
beat stands still is that of a dead process.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from gpo_vae_jax import progress
from gpo_vae_jax.errors import TrainingError

NAME = ".lock"
BEAT = 10.0  # seconds between two heartbeats
_PATIENCE = 45.0  # seconds without a heartbeat after which another host's lock is stale
_LOOK = 1.0  # seconds between two looks at another host's heartbeat


class RunLock:
    """Holds a run folder while a `with` block runs; makes the folder if it is missing.

    Raises TrainingError on entry where another process trains in the folder.
    """

    def __init__(self, folder: Path, *, patience: float = _PATIENCE):
        self.path = Path(folder) / NAME
        self._patience = patience
        self._done = threading.Event()
        self._descriptor = -1
        self._is_sure: bool | None = None  # whether the operating system keeps others out
        self._beat = 0

    def __enter__(self) -> RunLock:
        self._made = [p for p in (self.path.parent, *self.path.parent.parents) if not p.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._opened()
        try:
            self._await_other_host()
            self._write()
        except BaseException:
            os.close(self._descriptor)
            raise
        threading.Thread(target=self._keep_beating, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self.path.unlink(missing_ok=True)  # while it is still ours
        os.close(self._descriptor)
        if error is not None:
            for folder in self._made:  # which stay as they were if nothing was written
                try:
                    folder.rmdir()
                except OSError:
                    break

    def _opened(self) -> int:
        """Return a descriptor of the lock file that this process alone has locked."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            self._is_sure = _lock(descriptor)
            if self._is_sure is False:
                owner = _read(descriptor)
                os.close(descriptor)
                raise TrainingError(self._refusal(owner))
            if self._is_sure is None:
                return descriptor
            try:  # the owner may have removed the file in the meantime
                same = os.path.samestat(os.fstat(descriptor), os.stat(self.path))
            except FileNotFoundError:
                same = False
            if same:
                return descriptor
            os.close(descriptor)

    def _await_other_host(self) -> None:
        """Wait until a lock of another host is seen to be dead; refuse where it is alive."""
        owner = _read(self._descriptor)
        if not owner or (owner.get("host") == socket.gethostname() and self._is_sure):
            return
        progress.note(
            f"{self.path.parent} was left locked by process {owner.get('process')} on host "
            f"{owner.get('host')}; waiting {self._patience:.0f} s for a sign of life"
        )
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            time.sleep(min(_LOOK, self._patience))
            now = _read_anew(self.path)
            if now and now != owner:
                raise TrainingError(self._refusal(now))

    def _refusal(self, owner: dict[str, Any]) -> str:
        who = f"process {owner.get('process', '?')} on host {owner.get('host', '?')}"
        since = f" since {owner['since']}" if "since" in owner else ""
        return (
            f"{self.path.parent} is in use: {who} has been training in it{since}. Wait for it, "
            "stop it, or name another folder"
        )

    def _keep_beating(self) -> None:
        while not self._done.wait(BEAT):
            try:
                self._write()
            except OSError:  # a full disk, or a descriptor that was closed just now
                continue

    def _write(self) -> None:
        self._beat += 1
        if self._beat == 1:
            self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": self._since,
            "beat": self._beat,
        }
        text = json.dumps(owner).ljust(256).encode()
        os.pwrite(self._descriptor, text, 0)


def _lock(descriptor: int) -> bool | None:
    """Lock a file for this process; return whether it is, or None where locks are unknown."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _read(descriptor: int) -> dict[str, Any]:
    try:
        return dict(json.loads(os.pread(descriptor, 4096, 0)))
    except (OSError, ValueError):  # empty: just made
        return {}


def _read_anew(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}
