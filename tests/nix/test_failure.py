"""What Nix's errors are taken for, on the recorded words of each version (see recorded/record.py)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.model import FailureKind as Kind
from lockbot.nix import failure
from lockbot.nix.lines import MESSAGE_LENGTH, strip_ansi

RECORDED = Path(__file__).parent / "recorded"
VERSIONS = sorted(path.stem.removeprefix("failures-") for path in RECORDED.glob("failures-*.txt"))


def sections(path: Path) -> dict[str, str]:
    """The recorded texts of a file, by case."""
    parts = re.split(r"(?m)^===== (\S+) \d+\n", path.read_text())[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


TEXTS = {version: sections(RECORDED / f"failures-{version}.txt") for version in VERSIONS}
OTHERS = sections(RECORDED / "lix-and-determinate.txt")
ALL = [text for texts in (*TEXTS.values(), OTHERS) for text in texts.values()]

# Case, kind, and words of the line for people.
CASES = {
    "builder-failed": (Kind.BUILD, "failed with exit code 3"),
    "builder-failed-silently": (Kind.BUILD, "failed with exit code 1"),
    "dependency": (Kind.BUILD, "-fail.drv"),
    "several": (Kind.HASH_MISMATCH, "-fail.drv"),
    "hash-mismatch": (Kind.HASH_MISMATCH, "specified sha256-AAAA.*, got sha256-VD34"),
    "hash-mismatch-below": (Kind.HASH_MISMATCH, "-fod.drv': specified"),
    "timeout": (Kind.TIMEOUT, "timed out after 1 seconds"),
    "timeout-of-silence": (Kind.TIMEOUT, "timed out after 1 seconds"),
    "killed": (Kind.KILLED, r"signal 9 \(Killed\)"),
    "no-output": (Kind.BUILD, "failed to produce output path for output 'out'"),
    "no-dev-output": (Kind.BUILD, "failed to produce output path for output 'dev'"),
    "platform": (Kind.PLATFORM, "aarch64-darwin"),
    "platform-feature": (Kind.PLATFORM, "quantum"),
    "platform-below": (Kind.PLATFORM, "aarch64-darwin"),
    "download-in-a-build": (Kind.BUILD, "exit code 1"),
    "forbidden-reference": (Kind.BUILD, "not allowed to refer to the following paths: /.*-ok$"),
    "no-such-builder": (Kind.BUILD, "exit code 1"),
    "noise": (Kind.BUILD, "-noisy.drv"),
    "noise-prefixed": (Kind.BUILD, "-noisy.drv"),
    "nix-build-keep-going": (Kind.PLATFORM, "-fail.drv"),
    "check-mismatch": (Kind.BUILD, "may not be deterministic"),
    "collected": (Kind.COLLECTED, "-gone.drv"),
    "daemon": (Kind.DAEMON, "cannot connect to socket"),
    "builder-host": (Kind.BUILDER_HOST, "cannot build on 'ssh-ng://root@127.0.0.1'"),
    "builder-host-of-another-system": (Kind.BUILDER_HOST, "cannot build on 'ssh-ng://root@127.0.0.1'"),
    "builder-host-none": (Kind.REFUSED, "max-jobs = 0, and no builder is there for its system: nothing can be "),
    "eval-throw": (Kind.EVALUATION, "^this host is broken$"),
    "eval-throw-phrase": (Kind.EVALUATION, "^a test said: No space left on device$"),
    "eval-assertion": (Kind.ASSERTION, "is not equal to"),
    "eval-assertion-plain": (Kind.ASSERTION, "^assertion 'false' failed$"),
    "eval-nixos-assertions": (Kind.ASSERTION, "^Failed assertions: The .* set.; Set a boot loader.$"),
    "eval-infinite-recursion": (Kind.EVALUATION, "^infinite recursion encountered$"),
    "eval-missing-attribute": (Kind.EVALUATION, "^attribute 'b' missing$"),
    "eval-undefined-variable": (Kind.EVALUATION, "^undefined variable 'nosuchvariable'$"),
    "eval-syntax": (Kind.EVALUATION, "^syntax error"),
    "eval-stack-overflow": (Kind.EVALUATION, "^stack overflow"),
    "eval-abort": (Kind.EVALUATION, "'stop'"),
    "eval-missing-path": (Kind.EVALUATION, "does not exist"),
    "eval-from-derivation": (Kind.BUILD, "-ifd.drv"),
    "eval-no-such-output": (Kind.EVALUATION, "does not provide attribute"),
    "eval-download-404": (Kind.NOT_FOUND, "^unable to download '.*': HTTP error 404$"),
    "eval-memory": (Kind.MEMORY, "^out of memory$"),
    "fetch-http-401": (Kind.AUTH, "HTTP error 401$"),
    "fetch-http-403": (Kind.AUTH, "HTTP error 403$"),
    "fetch-http-404": (Kind.NOT_FOUND, "HTTP error 404$"),
    "fetch-http-429": (Kind.NETWORK, "HTTP error 429$"),
    "fetch-http-503": (Kind.NETWORK, "HTTP error 503$"),
    "fetch-refused": (Kind.NETWORK, "Could not connect"),
    "fetch-no-host": (Kind.NETWORK, "Could not resolve host"),
    "fetch-github-offline": (Kind.NETWORK, "api.github.com"),
    "fetch-git-refused": (Kind.NETWORK, "fatal: unable to access"),
    "fetch-git-refused-ref": (Kind.NETWORK, "fatal: unable to access"),
    "fetch-git-no-host": (Kind.NETWORK, "Could not resolve host"),
    "fetch-git-404": (Kind.NOT_FOUND, "fatal: repository '.*' not found"),
    "fetch-git-401-ref": (Kind.AUTH, "could not read Username"),
    "fetch-git-ssh-refused": (Kind.NETWORK, "ssh: connect to host"),
    "fetch-git-no-ref": (Kind.NOT_FOUND, "couldn't find remote ref"),
    "fetch-git-no-ref-local": (Kind.NOT_FOUND, "revspec 'nosuch' not found"),
    "fetch-git-no-rev": (Kind.NOT_FOUND, "not our ref"),
    "fetch-git-no-rev-local": (Kind.NOT_FOUND, "object not found"),
    "fetch-git-no-repository": (Kind.NOT_FOUND, "does not appear to be a git repository"),
    "fetch-git-no-directory": (Kind.NOT_FOUND, "gone"),
    "nar-hash-mismatch": (Kind.HASH_MISMATCH, "(?i)nar ?hash"),
    "lock-missing-node": (Kind.LOCK_FILE, "missing node 'a'"),
    "lock-too-new": (Kind.LOCK_FILE, "unsupported version 8"),
    "lock-corrupt": (Kind.LOCK_FILE, "parse error at line 1"),
    "lock-empty": (Kind.LOCK_FILE, "parse error at line 1"),
    "lock-unlocked": (Kind.LOCK_FILE, "unlocked input"),
    "lock-outdated": (Kind.LOCK_FILE, "requires lock file changes"),
    "disk-full": (Kind.DISK_FULL, "No space left on device"),
    "disk-full-in-a-build": (Kind.DISK_FULL, "perhaps by lack of free disk space"),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_each_failure_by_its_name(version: str) -> None:
    assert {case: failure.classify(TEXTS[version][case]) for case in CASES} == {
        case: kind for case, (kind, _) in CASES.items()
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_each_failure_in_one_line_for_people(version: str) -> None:
    lines = {case: failure.explain(TEXTS[version][case]) for case in CASES}
    assert {case: line for case, line in lines.items() if not re.search(CASES[case][1], line)} == {}


def test_every_recorded_failure_is_looked_at() -> None:
    assert len(VERSIONS) >= 2
    elsewhere = {"noise-raw", "git-stale", "git-stale-ref", "no-such-input"}
    for texts in TEXTS.values():
        assert texts.keys() == CASES.keys() | elsewhere


@pytest.mark.parametrize("version", VERSIONS)
def test_colours_change_nothing(version: str) -> None:
    for case in ("several", "noise", "eval-throw", "eval-nixos-assertions"):
        text = TEXTS[version][case]
        coloured = re.sub(r"(error:|'[^'\n]+')", "\x1b[31;1m\\1\x1b[0m", text)
        assert coloured != text
        assert failure.classify(coloured) is failure.classify(text)
        assert failure.explain(coloured) == failure.explain(text)
        assert failure.derivation_failures(coloured) == failure.derivation_failures(text)


def test_strips_every_terminal_sequence() -> None:
    assert strip_ansi("\x1b[1;31mred\x1b[0m \x1b]8;;https://x\x1b\\link\x1b]8;;\x07 \x1bMup") == "red link up"
    assert strip_ansi("\x1b]0;never ended\nerror: x") == "\nerror: x"


def named(text: str) -> dict[str, Kind]:
    """The derivations' names, without hash and `.drv`."""
    return {name(drv): found.kind for drv, found in failure.derivation_failures(text).items()}


def name(drv: str) -> str:
    return drv.rsplit("/", 1)[1].split("-", 1)[1].removesuffix(".drv")


@pytest.mark.parametrize(
    ("case", "failed", "missed"),
    [
        ("builder-failed", {"fail": Kind.BUILD}, set()),
        ("dependency", {"fail": Kind.BUILD}, {"middle", "top"}),
        ("several", {"fail": Kind.BUILD, "fail2": Kind.BUILD, "fod": Kind.HASH_MISMATCH}, {"both", "on-fod"}),
        ("hash-mismatch-below", {"fod": Kind.HASH_MISMATCH}, {"on-fod"}),
        ("killed", {"kill9": Kind.KILLED}, set()),
        ("no-output", {"no-output": Kind.BUILD}, set()),
        ("no-dev-output", {"no-dev": Kind.BUILD}, set()),
        ("platform", {"foreign": Kind.PLATFORM}, set()),
        ("platform-feature", {"feature": Kind.PLATFORM}, set()),
        ("check-mismatch", {"check": Kind.BUILD}, set()),
        ("builder-host-of-another-system", {"foreign": Kind.BUILDER_HOST}, set()),
        ("disk-full-in-a-build", {"disk": Kind.DISK_FULL}, set()),
        ("noise", {"noisy": Kind.BUILD}, set()),
        ("noise-prefixed", {"noisy": Kind.BUILD}, set()),
        ("eval-from-derivation", {"ifd": Kind.BUILD}, set()),
        ("eval-throw", {}, set()),
        ("forbidden-reference", {}, set()),
    ],
)
def test_blames_what_failed_by_itself(case: str, failed: dict[str, Kind], missed: set[str]) -> None:
    for texts in TEXTS.values():
        text = texts[case]
        assert named(text) == failed
        assert set(map(name, failure.dependency_failures(text))) == missed
        for drv, found in failure.derivation_failures(text).items():
            assert found.culprit == drv
            assert found.message


def test_a_timeout_names_its_derivation_only_before_2_34() -> None:
    assert named(TEXTS["2.26"]["timeout"]) == {"sleep": Kind.TIMEOUT}
    assert named(TEXTS["2.26"]["timeout-of-silence"]) == {"silent": Kind.TIMEOUT}
    assert named(TEXTS["2.34"]["timeout"]) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_keeps_the_last_log_lines(version: str) -> None:
    tails = {
        name(drv): found.tail for drv, found in failure.derivation_failures(TEXTS[version]["several"]).items()
    }
    assert tails == {"fail": ("one", "two"), "fail2": (), "fod": ()}
    (noisy,) = failure.derivation_failures(TEXTS[version]["noise"]).values()
    assert noisy.tail[-1] == "       error: Failed assertions:"
    assert noisy.tail[0].startswith("error: unable to download")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bare_log_can_not_be_told_from_nix(version: str) -> None:
    """The reason why builds run with `-Q` or a JSON log; should this fail, say so in the module's docstring."""
    assert "fake" in named(TEXTS[version]["noise-raw"])


def test_a_log_line_can_not_break_out_by_a_carriage_return() -> None:
    lines = [
        "error: builder for '/nix/store/1-a.drv' failed with exit code 1;",
        "       > x\r%s",
        "a> \x0b%s",
        "a> \u2028%s",
    ]
    forged = "error: hash mismatch in fixed-output derivation '/nix/store/2-b.drv':"
    text = "\n".join(lines).replace("%s", forged)
    assert failure.derivation_failures(text).keys() == {"/nix/store/1-a.drv"}
    assert failure.classify(text) is Kind.BUILD


def test_lix_and_determinate() -> None:
    assert named(OTHERS["lix-hash-mismatch"]) == {"source": Kind.HASH_MISMATCH}
    assert "got sha256-VD34" in failure.explain(OTHERS["lix-hash-mismatch"])
    assert failure.classify(OTHERS["lix-builder-failed"]) is Kind.BUILD
    assert named(OTHERS["lix-builder-failed"]) == {"app": Kind.BUILD}
    assert failure.classify(OTHERS["lix-network"]) is Kind.NETWORK
    assert failure.explain(OTHERS["lix-network"]).startswith("unable to download 'https://example.org")
    assert failure.classify(OTHERS["determinate-several"]) is Kind.BUILD
    assert named(OTHERS["determinate-several"]) == {"app": Kind.BUILD}
    for case in ("lix-builder-failed", "determinate-several"):
        assert set(map(name, failure.dependency_failures(OTHERS[case]))) == {"system"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Kind.UNKNOWN),
        ("warning: you did not specify '--add-root'", Kind.UNKNOWN),
        ("error (ignored): error: interrupted by the user", Kind.UNKNOWN),
        ("error: interrupted by the user", Kind.DAEMON),
        ("error: unexpected end-of-file", Kind.DAEMON),
        ("error: path '/nix/store/1-a.drv' is not valid", Kind.COLLECTED),
        ("error: cannot update unlocked flake input 'a' in pure mode", Kind.LOCK_FILE),
        ("error: some substitutes for the outputs of derivation '/nix/store/1-a.drv' failed", Kind.NETWORK),
        # git alone
        ("error: RPC failed; curl 92\nfatal: unable to access 'x': Could not resolve host: h", Kind.NETWORK),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", Kind.AUTH),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", Kind.AUTH),
        # what Nix got over, then another error
        ("warning: error: unable to download 'x': gone; retrying\nerror: attribute 'b' missing", Kind.EVALUATION),
        ("fatal: unable to access 'https://h/': x\nerror: attribute 'b' missing", Kind.EVALUATION),
        ("error (ignored): No space left on device\nerror: attribute 'b' missing", Kind.EVALUATION),
        # an excerpt of the source
        ("error: attribute 'b' missing\n        7|   # error: out of memory\n         |   ^", Kind.EVALUATION),
    ],
)  # fmt: skip
def test_what_comes_before_and_what_only_looks_like_it(text: str, kind: Kind) -> None:
    assert failure.classify(text) is kind


def test_each_surrounding_wins_over_the_build_that_it_broke() -> None:
    build = "error: builder for '/nix/store/1-a.drv' failed with exit code 1\n"
    for words in ("writing to file: No space left on device", "cannot connect to socket at '/x': gone"):
        assert failure.classify(build + f"error: {words}").surroundings


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stale_answer_is_noticed(version: str) -> None:
    texts = TEXTS[version]
    for case in ("git-stale", "git-stale-ref"):
        assert failure.stale_fetch_lines(texts[case])[0] == "fatal: unable to connect to 127.0.0.1:"
        assert failure.classify(texts[case]) is Kind.NETWORK
    assert failure.stale_fetch_lines(texts["no-such-input"]) == (
        "warning: 'nosuch' does not match any input of this flake",
    )
    assert failure.stale_fetch_lines(texts["builder-failed"]) == ()


def test_stale_lines_are_nix_own_and_each_once() -> None:
    line = "warning: error: unable to download 'https://h/x': HTTP error 403; using cached version"
    assert failure.stale_fetch_lines(f"{line}\ntrace: fatal: using cached version\n\x1b[35m{line}\x1b[0m\n") == (
        line,
    )


def test_messages_are_short_and_of_one_line() -> None:
    text = "error: " + "x" * 10000 + "\u2028y"
    assert len(failure.explain(text)) == MESSAGE_LENGTH
    assert failure.explain("error: a\u2028\x0bb") == "a b"
    assert failure.explain("") == "no error message"
    assert failure.explain("nix: command went away\n\n") == "nix: command went away"


_PIECES = st.sampled_from([line for text in ALL for line in text.split("\n")])


@given(st.lists(_PIECES | st.text(), max_size=12).map("\n".join) | st.text())
def test_any_text_has_a_kind_and_a_line(text: str) -> None:
    assert isinstance(failure.classify(text), Kind)
    line = failure.explain(text)
    assert line
    assert len(line.splitlines()) == 1
    assert len(line) <= MESSAGE_LENGTH
    for drv, found in failure.derivation_failures(text).items():
        assert found.culprit == drv
    failure.dependency_failures(text)
    failure.stale_fetch_lines(text)


@pytest.mark.parametrize(
    "piece",
    [
        "error: ",
        "error:\n",
        "error: \n",
        " ",
        "\n",
        "> ",
        "a ",
        "Cannot build '",
        "builder for '",
        "a '",
        "\x1b[",
        "  1|",
    ],
)
def test_long_texts_take_no_long_time(piece: str) -> None:
    """Each pattern must be linear: a log is a stranger's, and may have megabytes. Quadratic ones took a minute."""
    text = piece * (100_000 // len(piece))
    begun = time.process_time()
    failure.explain(text)
    failure.classify(text)
    failure.stale_fetch_lines(text)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "text",
    [
        "error: access to absolute path '/etc' is forbidden in pure evaluation mode (use '--impure' to override)",
        "error: access to path '/etc' is forbidden in restricted mode",
        "error:\n       … while calling the 'fetchTree' builtin\n\n"
        "       error: access to URI 'https://example.org' is forbidden in restricted mode",
        "error: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features x'",
        "error: cannot build '/nix/store/x.drv^out' during evaluation because the option "
        "'allow-import-from-derivation' is disabled",
        "error: in pure evaluation mode, 'fetchGit' will not fetch unlocked input 'git+https://example.org'",
        "error: in pure evaluation mode, 'fetchurl' requires a 'sha256' argument",
        "error: cannot look up '<nixpkgs>' in pure evaluation mode (use '--impure' to override)",
        "error: 'builtins.storePath' is not allowed in pure evaluation mode",
        "error: the group 'nixbld' specified in 'build-users-group' does not exist",
    ],
)
def test_what_the_settings_of_a_machine_refuse(text: str) -> None:
    assert failure.classify(text) is Kind.REFUSED
    traced = "\n".join(f"trace: {line}" for line in text.split("\n"))
    assert failure.classify(f"{traced}\nerror: attribute 'b' missing") is Kind.EVALUATION
