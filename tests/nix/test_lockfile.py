"""Lock files: what is read of them, what is refused and where, and what changed, as the real Nix tells it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.errors import LockbotError
from lockbot.model import ChangeKind
from lockbot.nix.lockfile import EMPTY, Fixed, LockFile, LockFileError, diff, names_of, spelled
from lockbot.nix.lockfile.jsontext import Json, JsonError
from lockbot.report.block import lock_block
from tests import nixes

RECORDED = Path(__file__).parent / "recorded"
UPDATES = [
    pytest.param(update, id=f"{path.stem}-{update['case']}".replace(" ", "-"))
    for path in sorted(RECORDED.glob("updates-*.json"))
    for update in json.loads(path.read_text())
]
REV, OTHER = "1" * 40, "2" * 40


def github(name: str, rev: str = REV, **more: Any) -> dict[str, Any]:
    """A node for github:o/NAME."""
    source = {"type": "github", "owner": "o", "repo": name}
    locked = source | {"rev": rev, "narHash": f"sha256-{rev}", "lastModified": 1700000000}
    return {"locked": locked, "original": source} | more


def lock_text(nodes: Mapping[str, Any], root: str = "root", version: int = 7) -> str:
    return json.dumps({"nodes": nodes, "root": root, "version": version}, indent=2)


def lock(root: Mapping[str, Any], **nodes: Any) -> LockFile:
    return LockFile.parse(lock_text({"root": {"inputs": root}, **nodes}))


# -- reading ------------------------------------------------------------------------------------------------


def test_names_and_labels_differ_and_follows_start_at_the_root() -> None:
    nodes = {
        "top": {"inputs": {"nixpkgs": "nixpkgs_2", "home": "home", "stable": "nixpkgs"}},
        "nixpkgs_2": github("nixpkgs", OTHER),
        "nixpkgs": github("stable"),
        # `nixpkgs` is here the root's input, so nixpkgs_2, and not the node of that label
        "home": github("home", inputs={"nixpkgs": ["nixpkgs"], "lib": "lib", "self": []}),
        "lib": github("lib", flake=False, inputs={"x": ["home", "nixpkgs"]}),
    }
    found = LockFile.parse(lock_text(nodes, root="top"))
    locked = found.locked("home/nixpkgs")
    assert locked is not None
    assert locked.rev == OTHER
    assert locked == found.locked("nixpkgs") == found.locked("home/lib/x")
    assert found.follows("home/nixpkgs") == "nixpkgs"
    assert found.follows("home/self") == ""
    assert found.locked("home/self") is None
    assert found.follows("home") is None
    assert found.paths() == ("home", "nixpkgs", "stable", "home/lib")
    assert [found.locked(path) for path in ("nosuch", "nixpkgs/nosuch", "", "home//lib")] == [None] * 4
    assert found.input("nosuch") is None


def test_what_is_locked_is_told_as_nix_prints_it() -> None:
    locked = lock({"a": "a"}, a=github("a")).locked("a")
    assert locked is not None
    assert locked.url == f"github:o/a/{REV}?narHash=sha256-{REV}"
    assert (locked.type, locked.original, locked.rev, locked.last_modified) == (
        "github",
        "github:o/a",
        REV,
        1700000000,
    )


def test_every_type_of_node() -> None:
    sources: dict[str, dict[str, Any]] = {
        "github": {"owner": "o", "repo": "r", "rev": REV},
        "gitlab": {"owner": "o", "repo": "r", "rev": REV, "host": "h.example"},
        "sourcehut": {"owner": "~o", "repo": "r", "rev": REV},
        "git": {"url": "https://h/x", "rev": REV, "ref": "main", "submodules": True, "dir": "sub"},
        "hg": {"url": "https://h/x", "rev": REV},
        "tarball": {"url": "https://h/x.tar.gz", "narHash": "sha256-x"},
        "file": {"url": "https://h/x", "narHash": "sha256-x"},
        "path": {"path": "./sub"},
        "indirect": {"id": "nixpkgs"},
        "newer": {"what": "ever"},
    }
    nodes: dict[str, dict[str, Any]] = {
        kind: {"locked": {"type": kind} | source, "original": {"type": kind} | source}
        for kind, source in sources.items()
    }
    nodes["path"]["parent"] = []
    nodes["file"]["flake"] = False
    found = lock({kind: kind for kind in nodes}, **nodes)
    assert {path: (found.locked(path) or pytest.fail()).type for path in found.paths()} == {
        kind: kind for kind in nodes
    }
    fixed = {name: one.fixed for name, one in found.root_inputs.items() if not one.updatable}
    assert fixed == {"path": Fixed.PATH, "indirect": Fixed.INDIRECT}
    assert all(bool(one.why_not) is not one.updatable for one in found.root_inputs.values())
    assert found.root_inputs["github"].pinned
    git = found.locked("git")
    assert git is not None
    assert git.url == f"git+https://h/x?dir=sub&ref=main&rev={REV}&submodules=1"


def test_an_input_that_follows_is_not_updated_itself() -> None:
    found = lock({"a": "a", "b": ["a"]}, a=github("a")).root_inputs["b"]
    assert (found.fixed, found.follows, found.node) == (Fixed.FOLLOWS, "a", "a")
    assert "a" in found.why_not


def test_version_5_keeps_part_of_what_is_locked_in_info() -> None:
    node = github("a")
    node["info"] = {"lastModified": 5, "narHash": "sha256-info"}
    locked = LockFile.parse(lock_text({"root": {"inputs": {"a": "a"}}, "a": node}, version=5)).locked("a")
    assert locked is not None
    assert (locked.last_modified, locked.nar_hash) == (5, "sha256-info")


def test_a_date_beyond_every_calendar_is_none() -> None:
    node = github("a")
    node["locked"]["lastModified"] = 10**18
    locked = lock({"a": "a"}, a=node).locked("a")
    assert locked is not None
    assert locked.last_modified is None


def test_nodes_out_of_reach_are_not_looked_at() -> None:
    assert lock({"a": "a"}, a=github("a"), junk={"locked": 1, "inputs": {"x": "nosuch"}}).paths() == ("a",)


def test_cycles_and_shared_nodes_end() -> None:
    circle = lock({"a": "a"}, a=github("a", inputs={"b": "b"}), b=github("b", inputs={"a": "a"}))
    assert circle.paths() == ("a", "a/b", "a/b/a")
    levels = {f"n{i}": github(f"n{i}", inputs={"x": f"n{i + 1}", "y": f"n{i + 1}"}) for i in range(50)}
    diamonds = lock({"n": "n0"}, **levels, n50=github("last"))
    assert len(diamonds.paths()) == 101
    assert diamonds.locked("n/" + "/".join("xy" * 25)) is not None


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flake.lock"
    assert LockFile.read(path) is EMPTY
    assert EMPTY.paths() == ()
    path.write_text("\ufeff" + lock_text({"root": {}}))
    assert LockFile.read(path).version == 7


def test_refuses_what_is_no_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(lock_text({"root": {}}))
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in {
        "link": "symbolic link",
        "dangling": "symbolic link",
        "pipe": "regular file",
        ".": "directory",
    }.items():
        with pytest.raises(LockFileError, match=problem):
            LockFile.read(tmp_path / name)


def test_says_where_bytes_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "flake.lock"
    path.write_bytes(b'{\n "\xff": 1}')
    with pytest.raises(LockFileError) as caught:
        LockFile.read(path)
    assert caught.value.message.startswith(f"{path}:2:3: ")


# -- refusing -----------------------------------------------------------------------------------------------

A = '{"nodes":{"a":%s,"root":{"inputs":{"a":"a"}}},"root":"root","version":7}'


BROKEN = [
    ("", "1:1", "empty"),
    ("\n\n", "1:1", "empty"),
    ('{"nodes": {', "1:12", "too early"),
    ('{"nodes": {"a"', "1:15", "too early"),
    ('{"nodes": "a', "1:11", "does not end"),
    ("{\n<<<<<<< HEAD\n", "2:1", "conflict"),
    ('{\n "a": 1,\n=======\n "a": 2}', "3:1", "conflict"),
    ('{\n "version": 7,\n "version": 7}', "3:2", "occurs twice"),
    ('{"a": 1} x', "1:10", "after the end"),
    ("{'a': 1}", "1:2", "double quotes"),
    ('{"a" 1}', "1:6", "colon"),
    ('{"a": 1 "b": 2}', "1:9", "comma"),
    ('{"a": [1 2]}', "1:10", "comma"),
    ('{"a": [1,]}', "1:10", "expected a value"),
    ('{"a": nope}', "1:7", "expected a value"),
    ('{"a": NaN}', "1:7", "NaN"),
    ('{"a": -Infinity}', "1:7", "Infinity"),
    ('{"version": ' + "9" * 5000 + "}", "1:13", "digits"),
    ('{"a": "\\ud800"}', "1:7", "Unicode"),
    ('{"a": "\\x"}', "1:8", "escape"),
    ("[" * 100000, "1:34", "deeper"),
    ('{"a":' * 100000, "1:166", "deeper"),
    ("[]", "1:1", "must be an object"),
    ("{}", "1:1", '"version" is missing'),
    ('{"version": "7"}', "1:13", "must be a number"),
    ('{"version": true}', "1:13", "must be a number"),
    ('{"version": 4}', "1:13", "too old"),
    ('{"version": 8}', "1:13", "too new"),
    ('{"version": 7}', "1:1", '"nodes" is missing'),
    ('{"version": 7, "nodes": []}', "1:25", "must be an object"),
    ('{"version": 7, "nodes": {}}', "1:1", '"root" is missing'),
    ('{"version": 7, "nodes": {}, "root": 1}', "1:37", "must be a string"),
    ('{"version": 7, "nodes": {},\n"root": "r"}', "2:9", '"r", which is missing'),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": "b"}}}, "root": "r"}', "2:6", '"b", which is missing'),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": 1}}}, "root": "r"}', "2:6", "expected a label"),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": [1]}}}, "root": "r"}', "2:6", "expected a label"),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": "r"}}}, "root": "r"}', "2:6", "root node"),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": ["b", "c"]}}}, "root": "r"}', "2:6", 'which does not'),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": ["a"]}}}, "root": "r"}', "2:6", "circle"),
    ('{"version": 7, "nodes": {"r": {"inputs": {\n"a": ["b"], "b": ["a"]}}}, "root": "r"}', "2:6", "circle"),
    (A % "1", "1:15", '"a" must be an object'),
    (A % "{}", "1:15", '"locked" is missing'),
    (A % '{"locked":{"type":"git"}}', "1:25", "no url"),
    (A % '{"locked":{}}', "1:25", "no type"),
    (A % '{"locked":{"type":"path","path":null}}', "1:47", "must be a string, a whole"),
    (A % '{"locked":{"type":"git","url":"x","rev":"-x"}}', "1:25", "not a commit's hash"),
    (A % '{"locked":{"type":"path","path":"x"}}', "1:15", '"original" is missing'),
    (A % '{"flake":0}', "1:24", "true or false"),
]  # fmt: skip


def test_refuses_a_broken_lock_and_says_where() -> None:
    for text, place, problem in BROKEN:
        with pytest.raises(LockFileError) as caught:
            LockFile.parse(text)
        assert caught.value.message.startswith(f"flake.lock:{place}: ")
        assert problem in caught.value.message
        assert caught.value.hint


def test_what_to_do_depends_on_what_is_wrong() -> None:
    hints = {}
    for case, text in {
        "new": '{"version": 8}',
        "old": '{"version": 4}',
        "empty": "",
        "merge": "<<<<<<< a\n",
    }.items():
        with pytest.raises(LockFileError) as caught:
            LockFile.parse(text)
        hints[case] = caught.value.hint
    assert "update lockbot" in hints["new"]
    assert "nix flake lock" in hints["old"]
    assert "full" in hints["empty"]
    assert "merge" in hints["merge"]


def test_chains_without_end_are_refused() -> None:
    chain: dict[str, Any] = {f"a{i}": [f"a{i + 1}"] for i in range(5000)}
    with pytest.raises(LockFileError, match="in turn"):
        lock(chain | {"a5000": "a"}, a=github("a"))
    nodes = {f"n{i}": github("n", inputs={"n": f"n{i + 1}"}) for i in range(5000)}
    with pytest.raises(LockFileError, match="nested deeper"):
        lock({"n": "n0"}, **nodes, n5000=github("n"))
    doubling: dict[str, Any] = {f"a{i}": [f"a{i + 1}", "x"] for i in range(40)}
    with pytest.raises(LockFileError, match="does not exist"):
        lock(doubling | {"a40": "a"}, a=github("a"))


def test_an_error_can_not_be_forged_by_a_name() -> None:
    with pytest.raises(LockFileError) as caught:
        lock({"a\n\x1b[31mflake.lock:1:1: all is well": "nosuch"})
    assert caught.value.message.isprintable()


_KEYS = st.sampled_from(["nodes", "root", "version", "inputs", "a"])
_LIKE_A_LOCK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner),
)


@given(st.text() | _LIKE_A_LOCK.map(json.dumps))
def test_any_text_is_a_lock_or_an_error_with_a_place(text: str) -> None:
    try:
        LockFile.parse(text)
    except LockFileError as error:
        assert error.line >= 1
        assert error.column >= 1


_EDGES = st.sampled_from(["a", "b", "c"]) | st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
_GRAPH = st.fixed_dictionaries(
    {label: st.dictionaries(st.sampled_from(["a", "b", "c"]), _EDGES) for label in "rabc"}
)


@given(_GRAPH, _GRAPH)
def test_any_graph_is_consistent_or_refused(one: dict[str, Any], other: dict[str, Any]) -> None:
    locks = []
    for graph, rev in ((one, REV), (other, OTHER)):
        nodes = {label: github(label, rev, inputs=inputs) for label, inputs in graph.items()}
        try:
            locks.append(LockFile.parse(lock_text(nodes, root="r")))
        except LockbotError:
            return
    for path in locks[0].paths():
        assert locks[0].locked(path)
    assert diff(locks[0], locks[0]) == ()
    there, back = diff(locks[0], locks[1]), diff(locks[1], locks[0])
    assert {change.input for change in there} == {change.input for change in back}
    assert len({change.input for change in there}) == len(there)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON, st.sampled_from([None, 1]))
def test_reads_json_as_python_does(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        read = Json.parse(text).value
    except JsonError as error:
        assert "deeper" in error.problem or "Unicode" in error.problem
    else:
        assert read == json.loads(text)


# -- what changed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
def test_tells_changes_as_nix_does(update: Mapping[str, str]) -> None:
    """Nix's own commit message, but for `path:./sub` → `path:./sub`, printed though the lock is the same."""
    old = LockFile.parse(update["old"]) if update["old"] else EMPTY
    told = update["message"].split("\n\n", 1)[1].strip()
    told = told.replace("\n• Updated input 'sub':\n    'path:./sub'\n  → 'path:./sub'", "")
    assert lock_block(diff(old, LockFile.parse(update["new"]))) == told


def test_every_kind_of_change_was_recorded() -> None:
    kinds = set()
    for parameter in UPDATES:
        update = parameter.values[0]
        assert isinstance(update, dict)
        old = LockFile.parse(update["old"]) if update["old"] else EMPTY
        kinds |= {change.kind for change in diff(old, LockFile.parse(update["new"]))}
    assert kinds == set(ChangeKind)


def test_changes_come_root_first() -> None:
    old = lock({"b": "b", "a": "a"}, a=github("a", inputs={"x": "x"}), b=github("b"), x=github("x"))
    new = lock(
        {"b": "b", "c": "a", "a": "a"},
        a=github("a", OTHER, inputs={"x": "x"}),
        b=github("b", OTHER),
        x=github("x", OTHER),
    )
    changes = diff(old, new)
    assert [(change.input, change.kind) for change in changes] == [
        ("a", ChangeKind.UPDATED),
        ("b", ChangeKind.UPDATED),
        ("c", ChangeKind.ADDED),
        ("a/x", ChangeKind.UPDATED),
    ]
    assert changes[0].old is not None
    assert changes[0].new is not None
    assert (changes[0].old.rev, changes[0].new.rev) == (REV, OTHER)


def test_what_follows_a_changed_input_is_not_changed() -> None:
    def at(rev: str) -> LockFile:
        return lock({"a": "a", "b": "b", "c": ["b", "a"]}, a=github("a", rev), b=github("b", inputs={"a": ["a"]}))

    assert [change.input for change in diff(at(REV), at(OTHER))] == ["a"]


def test_refollowed_carries_both_ends() -> None:
    old = lock({"a": "a", "b": "b", "x": ["a"]}, a=github("a"), b=github("b", OTHER))
    own = lock({"a": "a", "b": "b", "x": "x"}, a=github("a"), b=github("b", OTHER), x=github("x"))
    new = lock({"a": "a", "b": "b", "x": ["b"]}, a=github("a"), b=github("b", OTHER))
    (change,) = diff(old, new)
    assert (change.kind, change.old_follows, change.new_follows) == (ChangeKind.REFOLLOWED, "a", "b")
    assert change.old == old.locked("a")
    assert change.new == new.locked("b")
    (change,) = diff(own, new)
    assert (change.kind, change.old_follows, change.new_follows) == (ChangeKind.REFOLLOWED, None, "b")
    (change,) = diff(own, lock({"a": "a", "b": "b"}, a=github("a"), b=github("b", OTHER)))
    assert (change.kind, change.input) == (ChangeKind.REMOVED, "x")


def test_other_labels_and_sharing_are_no_change() -> None:
    apart = lock(
        {"a": "a", "b": "b"},
        a=github("a", inputs={"x": "x"}),
        b=github("a", inputs={"x": "x_2"}),
        x=github("x"),
        x_2=github("x"),
    )
    shared = lock({"a": "n", "b": "n"}, n=github("a", inputs={"x": "y"}), y=github("x"))
    assert diff(apart, shared) == diff(shared, apart) == ()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"ref": "main"}, {"ref": "refs/heads/main"}, False),
        ({"ref": "main"}, {"ref": "refs/tags/main"}, True),
        ({"lastModified": 1}, {}, False),
        ({"lastModified": 1}, {"lastModified": 2}, True),
        ({"rev": REV, "narHash": "x", "revCount": 1}, {"rev": REV}, False),
        ({"rev": REV, "narHash": "x"}, {"rev": REV, "narHash": "y"}, True),
        ({"narHash": "x"}, {}, True),
        ({"rev": REV}, {"rev": OTHER}, True),
        ({"rev": REV}, {"rev": REV, "dir": "d"}, True),
        ({"rev": REV}, {"rev": REV, "url": "https://other/x"}, True),
    ],
)
def test_spellings_are_no_change(old: dict[str, Any], new: dict[str, Any], changed: bool) -> None:
    source = {"type": "git", "url": "https://h/x"}

    def locked(attrs: dict[str, Any]) -> LockFile:
        return lock({"a": "a"}, a={"locked": source | attrs, "original": source})

    assert bool(diff(locked(old), locked(new))) is changed


def test_another_original_is_a_change() -> None:
    node = github("a")
    node["original"]["ref"] = "stable"
    (change,) = diff(lock({"a": "a"}, a=github("a")), lock({"a": "a"}, a=node))
    assert change.kind is ChangeKind.UPDATED
    assert change.new is not None
    assert change.new.original == "github:o/a/stable"


# -- the real thing -----------------------------------------------------------------------------------------


def test_reads_what_nix_writes(nix: nixes.Nix, tmp_path: Path) -> None:
    """Follows, nested inputs and duplicates, written by each Nix, and resolved by it too."""
    urls: dict[str, str] = {}
    inner = {"base": "", "mid": 'inputs.base.url = "BASE";', "other": 'inputs.base.url = "BASE";'}
    for name, inputs in inner.items():
        inputs = inputs.replace("BASE", urls.get("base", ""))
        urls[name] = repository(
            nix, tmp_path / name, f"{{ {inputs} outputs = _: {{ name = {json.dumps(name)}; }}; }}"
        )
    main = tmp_path / "main"
    repository(
        nix,
        main,
        f"""{{ inputs.base.url = "{urls["base"]}"; inputs.mid.url = "{urls["mid"]}";
        inputs.other = {{ url = "{urls["other"]}"; inputs.base.follows = "mid/base"; }};
        inputs.again.follows = "other/base";
        inputs.data = {{ url = "{urls["base"]}"; flake = false; }};
        outputs = _: {{ }}; }}""",
    )
    nix.run("nix", "flake", "lock", cwd=main)
    found = LockFile.read(main / "flake.lock")
    assert found.paths() == ("base", "data", "mid", "other", "mid/base")
    assert found.follows("again") == "other/base"
    assert found.follows("other/base") == "mid/base"
    assert found.locked("again") == found.locked("mid/base")
    told = json.loads(nix.run("nix", "flake", "metadata", "--json", cwd=main).stdout)["locks"]["nodes"]
    base = found.locked("base")
    assert base is not None
    assert (base.rev, base.nar_hash, base.last_modified) == tuple(
        told[found.root_inputs["base"].node]["locked"][key] for key in ("rev", "narHash", "lastModified")
    )
    shown = nix.run("nix", "flake", "metadata", cwd=main).stdout
    for path in found.paths():
        assert (found.locked(path) or pytest.fail()).url in shown


def repository(nix: nixes.Nix, path: Path, flake: str) -> str:
    path.mkdir()
    (path / "flake.nix").write_text(flake)
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        nix.run("git", *words, cwd=path)
    return f"git+file://{path}"


@given(st.lists(st.text(alphabet="a/%2F5. "), min_size=1, max_size=4))
def test_a_path_is_spelled_so_that_it_can_be_read_back(names: list[str]) -> None:
    text = spelled(tuple(names))
    assert names_of(text) == tuple(names)
    assert text.count("/") == len(names) - 1, "a slash is only between names"


def test_no_more_values_are_read_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts, of whatever kind; so it does in the second look that finds the place of an error."""
    monkeypatch.setattr("lockbot.nix.lockfile.jsontext.MOST", 5)
    document = Json.parse('[1, {"a": null}, "x"]')
    assert document.error("wrong", [1, "a"]).column == 11
    assert document.error("wrong", [5]).column == 1, "what has no place is told at the beginning"
    with pytest.raises(JsonError) as caught:
        Json.parse('[1,\n {"a": null}, "x", false]')
    assert (caught.value.problem, caught.value.line, caught.value.column) == ("more than 5 values", 2, 20)


def test_ordinary_names_are_spelled_as_they_are() -> None:
    for path in (("nixpkgs",), ("home-manager", "nixpkgs"), ("100%",), ("x.y", "_1")):
        assert spelled(path) == "/".join(path)
