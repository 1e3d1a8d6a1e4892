"""What was answered so far: no question of one search is asked twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lockbot.search.interface import (
    FrozenSelection,
    Judging,
    Level,
    Oracle,
    Response,
    State,
    Watch,
    thawed,
)


class ResponseCache:
    """Asks the oracle, and keeps every response by host, level and selection."""

    def __init__(self, oracle: Oracle, watch: Watch) -> None:
        self.oracle = oracle
        self.watch = watch
        self._states: dict[tuple[str, Level], dict[FrozenSelection, State]] = {}
        self._wholes: dict[FrozenSelection, Response] = {}
        self._suspects: dict[tuple[str, FrozenSelection], tuple[str, ...]] = {}

    def state(self, host: str, selection: FrozenSelection, level: Level) -> State | None:
        """What is known without asking."""
        if not selection:
            return State.GOOD
        known = self._states.get((host, level), {}).get(selection)
        if known is None and selection in self._wholes:
            return State.GOOD  # whatever was not good is in _states
        return known

    def ask(self, selection: FrozenSelection, hosts: Iterable[str], level: Level) -> dict[str, State]:
        hosts = tuple(hosts)
        missing = frozenset(host for host in hosts if self.state(host, selection, level) is None)
        if missing:
            question = self.oracle.probe if level is Level.BUILD else self.oracle.evaluate
            self._record(selection, missing, level, question(thawed(selection), missing))
        known = {host: self.state(host, selection, level) for host in hosts}
        return {host: state for host, state in known.items() if state is not None}

    def whole(self, selection: FrozenSelection) -> tuple[str, ...]:
        """Judge the whole fleet; the hosts that are not good, those that fail to evaluate first."""
        if not selection:
            return ()
        if selection not in self._wholes:
            self.watch(Judging(thawed(selection)))
            response = self.oracle.probe(thawed(selection), None)
            self._record(selection, response.red | response.unknown, Level.BUILD, response)
            self._wholes[selection] = response
        response = self._wholes[selection]
        red = sorted(response.red, key=lambda host: (host not in response.at_evaluation, host))
        return (*red, *sorted(response.unknown - response.red))

    def level(self, host: str, selection: FrozenSelection) -> Level:
        """The cheapest level at which this host is known not to be good."""
        at_evaluation = self.state(host, selection, Level.EVALUATION)
        return Level.BUILD if at_evaluation in (State.GOOD, None) else Level.EVALUATION

    def known(self, host: str, level: Level, state: State) -> Iterator[FrozenSelection]:
        yield from (selection for selection, is_ in self._states.get((host, level), {}).items() if is_ is state)
        if state is State.GOOD:
            yield from (
                selection for selection in self._wholes if self.state(host, selection, level) is State.GOOD
            )

    def suspects(self, host: str, selection: FrozenSelection) -> tuple[str, ...]:
        return self._suspects.get((host, selection), ())

    def _record(self, selection: FrozenSelection, hosts: frozenset[str], level: Level, response: Response) -> None:
        for host in hosts:
            if named := response.suspects.get(host):
                self._suspects[host, selection] = tuple(named)
            if host in response.red:
                state, evaluated = State.BAD, State.BAD if host in response.at_evaluation else State.GOOD
            elif host in response.unknown:
                state = evaluated = State.UNKNOWN
            else:
                state = evaluated = State.GOOD
            if level is Level.BUILD:
                self._states.setdefault((host, Level.BUILD), {})[selection] = state
                self._states.setdefault((host, Level.EVALUATION), {})[selection] = evaluated
            else:
                self._states.setdefault((host, Level.EVALUATION), {})[selection] = state
                if state is State.BAD:  # what can't be evaluated can't be built
                    self._states.setdefault((host, Level.BUILD), {})[selection] = state
