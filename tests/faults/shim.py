"""`shim.c`, compiled, and its orders: which write fails, how, and what the clock says."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.update.world import World

_SOURCE = Path(__file__).with_name("shim.c")
_ROOM, _WORDS = 8192, 120
_PRIVATE, _REMOVE = 0, 0  # IPC_PRIVATE, IPC_RMID
PROGRAMS = ("git", "nix", "nix-store", "nix-daemon")


class _Shared(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int32),
        ("at", ctypes.c_int32),
        ("lasting", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("clock", ctypes.c_int64),
        ("seen", (ctypes.c_char * _WORDS) * _ROOM),
    )


def compiled(directory: Path) -> Path:
    """The library, made in a directory unless it is there."""
    library = directory / "shim.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


def no_compiler() -> str | None:
    return None if shutil.which("cc") else "no C compiler"


class Shim:
    """In front of lockbot and of what it starts, in one world. `under`: where writes count."""

    def __init__(self, world: World, under: Sequence[Path] = ()) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        identity = libc.shmget(_PRIVATE, ctypes.sizeof(_Shared), 0o600)
        address = libc.shmat(identity, None, 0)
        assert identity >= 0 and address not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
        libc.shmctl(
            identity, _REMOVE, None
        )  # it goes with the last who has it; until then it can be had by number
        self._libc, self._address = libc, address
        self._shared = _Shared.from_address(address)
        library = Path(os.environ.get("LD_PRELOAD") or compiled(world.directory.parent))
        orders = {"FAULTS_SHM": str(identity), "FAULTS_UNDER": ":".join(map(str, under))}
        world.environment |= {**orders, "LD_PRELOAD": str(library)}
        # Where the wrappers are, whoever may run these may read it, too.
        beside = world.directory / "wrappers" / library.name
        beside.parent.mkdir(exist_ok=True)
        shutil.copyfile(library, beside)
        exported = "; ".join(f"export {name}='{value}'" for name, value in orders.items())
        exported += f"; export LD_PRELOAD='{beside}'"
        for program in PROGRAMS:
            world.wrap(program, f'{exported}\nexec $real "$@"')

    def close(self) -> None:
        self._libc.shmdt(ctypes.c_void_p(self._address))

    def count(self) -> None:
        """From now on nothing fails; and count from 1."""
        self.fail(0, 0)

    def fail(self, at: int, error: int, *, lasting: bool = False) -> None:
        """From now on the write at this place fails with this errno; `lasting`: and all after it."""
        self._shared.at = 0
        self._shared.count = 0
        self._shared.error, self._shared.lasting = error, lasting
        self._shared.at = at

    def ahead(self, seconds: int) -> None:
        """So far the clock is ahead of the real one, for everybody, from now on."""
        self._shared.clock = seconds

    @property
    def seen(self) -> list[str]:
        """What was written since the count began: the call, and the path."""
        number = min(self._shared.count, _ROOM)
        return [bytes(self._shared.seen[at].value).decode(errors="replace") for at in range(number)]
