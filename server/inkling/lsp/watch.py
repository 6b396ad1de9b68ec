"""Leave when the editor that started us has died, even if something keeps our stdin open."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

INTERVAL_S = 1.0


class Watch:
    """Watches one process. A process that cannot be seen from here (another host, another container) is not watched."""

    def __init__(self) -> None:
        self._process: int | None = None
        self._is_our_parent = False

    def parent(self, process: int | None) -> None:
        """Watch this process, if it is alive now."""
        if process is not None and process > 0 and is_alive(process):
            self._process = process
            self._is_our_parent = hasattr(os, "getppid") and os.getppid() == process

    def take_over(self, other: Watch) -> None:
        """Go on with another's process."""
        self._process, self._is_our_parent = other._process, other._is_our_parent

    async def wait(self) -> None:
        """Return when the process has died."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if self._process is None:
                continue
            orphaned = self._is_our_parent and os.getppid() != self._process
            if orphaned or not is_alive(self._process):
                return


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped does not."""
    if sys.platform == "win32":
        import psutil

        return bool(psutil.pid_exists(process))
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:
        return False
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return True
    return stat.rpartition(b")")[2].split()[:1] != [b"Z"]
