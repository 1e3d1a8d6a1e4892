"""`lockbot notify` as often as wanted, each a process of its own, forked from one in which all is imported.

On stdin a JSON object on each line: how `many`, with which `config` and `environ`. On stdout their process ids,
and how each has ended once they all have.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from lockbot.cli import cli
from lockbot.commands.notify import send
from lockbot.notify import sending

ALL = (send, sending)
"""Imported before anything is forked."""


def main() -> None:
    for line in sys.stdin:
        pids = []
        asked = json.loads(line)
        for _ in range(asked["many"]):
            pid = os.fork()
            if pid == 0:
                os.setsid()
                os._exit(_notify(asked))
            pids.append(pid)
        print(*pids, flush=True)  # noqa: T201 -- the answer
        print(*(os.waitpid(pid, 0)[1] for pid in pids), flush=True)  # noqa: T201


def _notify(asked: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 -- till its end
    return int(cli(["--config", asked["config"], "notify"], standalone_mode=False) or 0)


if __name__ == "__main__":
    main()
