"""What a daemon says of itself, and where it can't."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.daemon.memory import Service, read_service, write_service
from lockbot.process import process_start
from tests.test_state import mounted


@pytest.mark.parametrize("status", ["idle", "a run " * 100])
def test_on_a_full_disk_it_is_told_that_a_run_is_over(tmp_path: Path, status: str) -> None:
    """Else `lockbot status` and the page tell of it until there is room."""
    with mounted(disk := tmp_path / "disk", "size=64k"):
        busy = Service(os.getpid(), process_start(os.getpid()), "web: building", {"web": "20261101-040000-abcd"})
        write_service(disk, busy)
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(1 << 20))
        rest = replace(busy, status=status, running={})
        write_service(disk, rest)
        assert read_service(disk) == rest
        assert {path.name for path in disk.iterdir()} == {"daemon.json", "filler"}


def test_where_there_is_no_room_for_more_it_is_an_error(tmp_path: Path) -> None:
    with mounted(disk := tmp_path / "disk", "size=64k"):
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(1 << 20))
        with pytest.raises(OSError):
            write_service(disk, Service(os.getpid(), None, ""))
