"""The daemon's loop: what is due, what ends and what is asked for come in; children and systemd's messages go out.

One thread, the main one, decides everything. APScheduler's thread says what is due, and each child has a thread
that sees it to its end; both only put events into the queue. At rest the loop wakes for the watchdog and to see
whether the clock was set: while a machine sleeps, timers stand still.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

from lockbot import systemd
from lockbot.daemon import children, memory, plan, telling
from lockbot.daemon.children import Child
from lockbot.daemon.clock import ClockWatch
from lockbot.daemon.events import Beaten, Due, Ended, Event, Reload, Said, Stop, Tell, Told, signals
from lockbot.daemon.heartbeat import Heartbeats
from lockbot.daemon.memory import Done
from lockbot.daemon.messages import Messages
from lockbot.daemon.plan import Task
from lockbot.errors import LockbotError
from lockbot.model import Outcome
from lockbot.process import process_start
from lockbot.report.events import Record
from lockbot.systemd import Notify

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

BEAT = 30.0
"""Seconds between two looks at the clock; sooner where the watchdog wants it."""
STOPPING, KILLING = 40.0, 10.0
"""Seconds that runs get to end themselves, and to be killed; well within systemd's TimeoutStopSec=90s."""
LATE = timedelta(seconds=90)
"""Something due for so long that was not said to be: the scheduler hangs."""
JUMP = 5.0
"""Seconds by which the clock may differ from what has passed before it was set."""
TRIES = 2
"""How often a task is begun anew at once after the daemon was stopped in the middle of it."""


def now() -> datetime:
    return datetime.now(UTC)


class Daemon:
    """Made of configuration files' paths; raises UsageError for what they hold. `serve` ends when told to."""

    def __init__(
        self,
        paths: Sequence[Path],
        environ: Mapping[str, str],
        log: FilteringBoundLogger,
        clock: Callable[[], datetime] = now,
        *,
        verbose: bool = False,
    ) -> None:
        self._paths = paths
        self._environ = environ
        self._log = log
        self._clock = clock
        self._verbose = verbose
        self._notify = Notify.of(environ)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._heartbeats = Heartbeats(self._events.put, log)
        self._plan = plan.read(paths, environ)
        self._tasks: dict[str, Task] = {}
        self._done: dict[Path, dict[str, Done]] = {}
        self._pending: dict[str, None] = {}
        self._running: dict[str, Child] = {}
        self._refused = ""
        self._stopping = False
        self._told = ""
        self._watch = ClockWatch(clock)
        self._orphans = False
        """Whether a run has died without ending its children."""
        # Jobs only put an event into the queue: they are run where they come due, in the scheduler's thread.
        self._scheduler = BlockingScheduler(executors={"default": DebugExecutor()}, timezone=UTC)
        self._messages = Messages(environ, self._events.put, self._put_at, clock)
        self._timer = threading.Thread(target=self._scheduler.start, name="schedule", daemon=True)

    def serve(self) -> None:
        children.adopt_orphans()
        self._adopt(self._plan)
        self._watch.moved()
        self._timer.start()
        with signals(self._events.put):
            self._log.info("ready", tasks=len(self._tasks), next=self._next_words())
            self._notify.send("READY=1")
            self._begin_what_may()
            self._tell()
            while not self._stopping:
                self._once()
        self._end()

    # -- the loop

    def _once(self) -> None:
        watchdog = self._notify.watchdog
        try:
            self._handle(self._events.get(timeout=self._rest()))
            while True:  # what is there already, at once
                self._handle(self._events.get_nowait())
        except queue.Empty:
            pass
        self._look_at_the_clock()
        self._reap()
        self._begin_what_may()
        self._tell()
        well = self._well()
        if watchdog and well:
            self._notify.send("WATCHDOG=1")
        self._heartbeats.beat(well=well)

    def _rest(self) -> float:
        """Seconds until the loop has something to do by itself."""
        watchdog, heartbeat = self._notify.watchdog, self._heartbeats.left
        return min(BEAT, watchdog / 3 if watchdog else BEAT, BEAT if heartbeat is None else heartbeat)

    def _handle(self, event: Event) -> None:
        match event:
            case Due(key):
                if key in self._tasks:
                    self._come_due(self._tasks[key])
            case Said(key, record):
                self._relay(key, record)
            case Ended():
                self._ended(event)
            case Beaten():
                self._heartbeats.hear(event)
            case Tell(config):
                self._messages.begin(config)
            case Told():
                self._told_people(event)
            case Reload():
                self._reload()
            case Stop(name):
                self._log.info(
                    "stopping", signal=name, running=[child.task.label for child in self._running.values()]
                )
                self._stopping = True
            case _:
                assert_never(event)

    def _well(self) -> bool:
        """Whether the scheduler lives and does its work, and no run is past its deadline."""
        overdue = self._clock() - LATE
        late = any(
            job.next_run_time is not None and job.next_run_time < overdue for job in self._scheduler.get_jobs()
        )
        hung = any(child.deadline.left < -children.PATIENCE for child in self._running.values())
        return self._timer.is_alive() and not late and not hung

    def _look_at_the_clock(self) -> None:
        """A clock that was set, or a machine that slept: reckon anew when each task is due."""
        seconds = self._watch.moved()
        if abs(seconds) > JUMP:
            self._log.info("the clock has moved", seconds=round(seconds))
            for task in self._tasks.values():
                self._schedule(task)
            self._messages.begin_all()

    # -- tasks

    def _adopt(self, found: plan.Plan) -> None:
        """Take a plan: what was there before and is no more is forgotten; what runs goes on."""
        self._plan, now = found, self._clock()
        self._heartbeats.adopt(found.heartbeats)
        gone = [state for state in self._done if state not in found.states]
        for state in gone:
            memory.forget_service(state)
        self._done = {state: memory.read_done(state) | self._done.get(state, {}) for state in found.states}
        for key in self._tasks.keys() - {task.key for task in found.tasks}:
            self._pending.pop(key, None)
            with contextlib.suppress(LookupError):
                self._scheduler.remove_job(key)
        self._tasks = {task.key: task for task in found.tasks}
        for task in found.tasks:
            done = self._done[task.state].get(task.key)
            if done is None and task.timetable.waits_at_first:
                self._remember(task, Done(now))  # so that what is missed from now on is known to be
            again = done is not None and 0 < done.lost < TRIES and task.key not in self._running
            if again:
                self._log.info("made up for: it was stopped in the middle", task=task.label)
                self._pending[task.key] = None
            self._schedule(task)
        self._messages.adopt(found.errands)

    def _come_due(self, task: Task) -> None:
        """Asked again whether it is: the clock may have been set while it was said, or it was said twice."""
        now, done = self._clock(), self._done[task.state].get(task.key)
        if task.timetable.due(done.last if done is not None else None, now) <= now:
            self._pending[task.key] = None
            self._schedule(task, since=now)
        else:
            self._schedule(task)

    def _schedule(self, task: Task, since: datetime | None = None) -> None:
        now = self._clock()
        done = self._done[task.state].get(task.key)
        if done is not None and (last := task.timetable.believed(done.last, now)) != done.last:
            done = Done(last, done.lost)
            self._remember(task, done)
        moment = task.timetable.due(since or (done.last if done is not None else None), now)
        self._put_at(moment, Due(task.key), task.key)

    def _put_at(self, moment: datetime, event: Event, name: str) -> None:
        self._scheduler.add_job(
            self._events.put,
            "date",
            [event],
            run_date=moment,
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
        )

    def _begin_what_may(self) -> None:
        busy = {child.task.config for child in self._running.values()}
        for key in list(self._pending):
            task = self._tasks[key]
            if self._stopping or len(self._running) >= self._plan.max_runs:
                return
            if task.config in busy or memory.paused(task.state) or task.timetable.is_quiet(self._clock()):
                continue
            del self._pending[key]
            busy.add(task.config)
            self._begin(task)

    def _begin(self, task: Task) -> None:
        done = self._done[task.state].get(task.key)
        self._remember(task, Done(self._clock(), (done.lost if done is not None else 0) + 1))
        self._schedule(task)
        child = children.begin(task)
        self._running[task.key] = child
        self._log.info("run begins", task=task.label)

        def see() -> None:
            try:
                code = child.run(self._environ, lambda record: self._events.put(Said(task.key, record)))
                self._events.put(Ended(task.key, code))
            except Exception as error:  # noqa: BLE001 -- the thread's boundary: without its end the task never ran again
                text = error.message if isinstance(error, LockbotError) else repr(error)
                self._events.put(Ended(task.key, None, text))

        threading.Thread(target=see, name=f"run {task.label}", daemon=True).start()

    def _relay(self, key: str, record: Record) -> None:
        child = self._running[key]
        with contextlib.suppress(TypeError, ValueError):
            child.doing.observe(record)
        level = record["level"]
        if level == "debug" and not self._verbose:
            return
        fields = {name: value for name, value in record.items() if name not in ("level", "event", "time")}
        tell = {"debug": self._log.debug, "warning": self._log.warning, "error": self._log.error}.get(
            str(level), self._log.info
        )
        tell(record["event"], task=child.task.label, **fields)

    def _ended(self, event: Ended) -> None:
        child = self._running.pop(event.key)
        child.token.close()
        self._orphans |= event.code is None or event.code < 0
        task, doing = child.task, child.doing
        if doing.ended is not None and doing.ended is not Outcome.INTERRUPTED:
            lost = 0
        elif doing.run is None:
            lost = 0  # it did not even begin: another run is at work, or the configuration is broken
        else:
            lost = self._done_of(task).lost
        if not self._stopping and doing.ended is None and doing.run is not None:
            lost = 0  # it crashed: its next turn comes, and the journal says so
            self._log.error(
                "the run ended before it could say how", task=task.label, run=doing.run, code=event.code
            )
        elif event.code != 0:
            self._log.warning(
                "run over", task=task.label, run=doing.run, code=event.code, error=event.error or doing.error
            )
        self._remember(task, Done(self._done_of(task).last, lost))
        self._messages.begin(task.config)

    def _told_people(self, event: Told) -> None:
        self._messages.ended(event)
        for note in event.notes:
            self._log.warning("note", config=str(event.config), text=note)
        if event.error and not self._stopping:
            self._log.warning("telling failed", config=str(event.config), error=event.error)

    def _reap(self) -> None:
        """Before the next run begins: what a killed one has left holds the store's locks."""
        pids = [*(child.pid for child in self._running.values()), *self._messages.pids]
        if None not in pids:  # one that is just starting would be taken for an orphan
            children.reap_orphans([pid for pid in pids if pid is not None], kill=self._orphans)
            self._orphans = False

    def _done_of(self, task: Task) -> Done:
        return self._done.get(task.state, {}).get(task.key) or Done(self._clock())

    def _remember(self, task: Task, done: Done) -> None:
        self._done.setdefault(task.state, {})[task.key] = done
        try:
            task.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            memory.write_done(task.state, self._done[task.state])
        except OSError as error:
            self._log.error("what was done can't be remembered", place=str(task.state), error=error.strerror)

    # -- reloading and ending

    def _reload(self) -> None:
        self._notify.send(systemd.reloading())
        try:
            self._adopt(plan.read(self._paths, self._environ))
        except LockbotError as error:
            self._refused = "the changed configuration is refused, the old one stays"
            self._log.error(self._refused, error=error.message, hint=error.hint)
        else:
            self._refused = ""
            self._log.info("reloaded", tasks=len(self._tasks), next=self._next_words())
        self._notify.send("READY=1")
        self._told = ""

    def _end(self) -> None:
        """End every run, each of which ends its own children; then what does not."""
        self._notify.send("STOPPING=1", systemd.status("stopping"))
        for child in self._running.values():
            child.stop()
        self._messages.stop()
        self._await_children(time.monotonic() + STOPPING)
        for child in self._running.values():
            self._log.error("a run did not end when asked to, and is killed", task=child.task.label)
            child.token.cancel("the daemon stops")
        self._messages.kill()
        self._await_children(time.monotonic() + KILLING)
        self._reap()
        self._scheduler.shutdown(wait=False)
        self._timer.join(5)
        for state in self._plan.states:
            memory.forget_service(state)
        self._log.info("stopped")

    def _await_children(self, end: float) -> None:
        while (self._running or self._messages.any) and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=left)
                if isinstance(event, (Said, Ended, Told)):
                    self._handle(event)

    # -- what is told

    def _tell(self) -> None:
        """To systemd and `lockbot status`, when it is something else than before."""
        text = self._words()
        service = memory.Service(
            os.getpid(),
            process_start(os.getpid()),
            text,
            {child.task.label: child.doing.run for child in self._running.values()},
            tuple(self._tasks[key].label for key in self._pending),
            {self._tasks[key].label: moment.isoformat() for key, moment in self._coming()},
        )
        if (now := repr(service)) == self._told:
            return
        self._told = now
        self._notify.send(systemd.status(text))
        for state in self._plan.states:
            try:
                memory.write_service(state, service)
            except OSError:
                self._told = ""  # again at the next beat: what stands there may be over

    def _words(self) -> str:
        paused = any(memory.paused(state) for state in self._plan.states)
        return telling.doing(self._refused, list(self._running.values()), self._next_words(), paused=paused)

    def _next_words(self) -> str:
        return telling.coming([(self._tasks[key], moment) for key, moment in self._coming()], self._clock())

    def _coming(self) -> list[tuple[str, datetime]]:
        jobs = [(job.id, job.trigger.run_date) for job in self._scheduler.get_jobs() if job.id in self._tasks]
        return sorted(jobs, key=lambda job: job[1])
