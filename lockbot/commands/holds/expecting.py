"""The first time that it is asked whether a hold has ended: when it is made, so that a mistake shows at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockbot.app import App, Place
from lockbot.commands.holds.answer import Answer
from lockbot.commands.holds.asking import Question, ask
from lockbot.commands.holds.given import GivenEnd, read_end
from lockbot.commands.holds.tools import open_tools
from lockbot.errors import UsageError
from lockbot.model import Heard, HoldEnd, Locked, UntilMerged, UntilVersion
from lockbot.report.styled_lines import Line, Style, line


@dataclass(frozen=True)
class Awaited:
    """What a hold waits for, and what was heard of that; nothing: for no such thing."""

    ends: HoldEnd | None = None
    heard: Heard | None = None

    def told(self) -> Iterator[Line]:
        """What came of asking, for whoever has just held the input."""
        if self.heard is None:
            return
        if self.heard.answered is None:
            yield line((f"it could not be asked yet: {self.heard.answer}", Style.WARN))
            yield line("the hold is made; later runs ask again")
        else:
            yield line(f"asked just now: {self.heard.answer}")


def expect(app: App, place: Place, input: str, locked: Locked, given: GivenEnd) -> Awaited:
    """Read what is waited for, and ask. Raises UsageError for what can't be, has come already, or never will."""
    with open_tools(app, place, fetching=given.version is not None) as tools:
        ends = read_end(tools, input, locked, given)
        if ends is None:
            return Awaited()
        answer = ask(tools, Question(input, locked, ends))
    _refuse_needless(answer, ends)
    return Awaited(ends, answer.heard(app.clock(), None))


def _refuse_needless(answer: Answer, ends: HoldEnd) -> None:
    if answer.over:
        raise UsageError(f"{answer.text}: there is nothing to wait for", "without a hold, the next run moves it")
    if answer.vain:
        of_what = _OF_PACKAGES if isinstance(ends, UntilVersion) else _OF_FORGES
        hint = _IN_VAIN if isinstance(ends, UntilMerged) and answer.known else of_what
        raise UsageError(f"there is nothing to wait for: {answer.text}", hint)


_OF_PACKAGES = "is the attribute right? it is looked for in the input's legacyPackages and packages"
_IN_VAIN = "without --until-merged it is held until you release it"
_OF_FORGES = "is it written right? what is private needs a token: [forge.HOST] in the configuration"
