"""Record what a real Nix says: `record.py /path/to/nix/bin`, as root (one case mounts a small file system).

Writes `failures-VERSION.txt` (the standard error of one failing command per section) and `updates-VERSION.json`
(the lock before, the lock after and the commit message of `nix flake … --commit-lock-file`) beside itself.
Needs git and no network. The tests read only what it wrote; run it again when a new Nix words things otherwise.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
WRONG = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
HTTP, GIT = 18123, 19418  # ports on loopback

NOISE = """
echo "error: unable to download 'https://example.org/x': HTTP error 404"
echo "cp: cannot create regular file: No space left on device" >&2
echo "error: builder for '/nix/store/00000000000000000000000000000000-fake.drv' failed with exit code 1" >&2
echo "error: hash mismatch in fixed-output derivation '/nix/store/00000000000000000000000000000000-fake.drv':"
echo "error: cannot connect to socket at '/x': Connection refused"
echo "fatal: could not read Username"
echo "error: timed out after 3 seconds"
echo "> error: quoted: No space left on device"
echo "       error: Failed assertions:"
"""

DERIVATIONS = f"""
let
  d = name: script: extra: derivation ({{ inherit name; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" script ]; PATH = builtins.getEnv "PATH"; }} // extra);
  fixed = {{ outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "{WRONG}"; }};
in rec {{
  ok = d "ok" "echo hi > $out" {{ }};
  fail = d "fail" "echo one; echo two >&2; exit 3" {{ }};
  fail2 = d "fail2" "exit 1" {{ }};
  noisy = d "noisy" ''{NOISE} exit 1'' {{ }};
  noisyok = d "noisyok" ''{NOISE} echo > $out'' {{ }};
  middle = d "middle" "cat ${{fail}} > $out" {{ }};
  top = d "top" "cat ${{middle}} > $out" {{ }};
  both = d "both" "cat ${{fail}} ${{fail2}} ${{fod}} > $out" {{ }};
  silentfail = d "no-output" "true" {{ }};
  nodev = d "no-dev" "echo > $out" {{ outputs = [ "out" "dev" ]; }};
  kill9 = d "kill9" "kill -9 $$" {{ }};
  sleep = d "sleep" "echo start; sleep 30" {{ }};
  silent = d "silent" "sleep 30" {{ }};
  foreign = d "foreign" "true" {{ system = "aarch64-darwin"; }};
  feature = d "feature" "true" {{ requiredSystemFeatures = [ "quantum" ]; }};
  onforeign = d "on-foreign" "cat ${{foreign}}" {{ }};
  fod = d "fod" "echo wrong > $out" fixed;
  onfod = d "on-fod" "cat ${{fod}} > $out" {{ }};
  check = d "check" "date +%N > $out; echo $$ >> $out" {{ }};
  fetch = import <nix/fetchurl.nix> {{ url = "http://127.0.0.1:1/x"; hash = "{WRONG}"; }};
  disk = d "disk" "head -c 20000000 /dev/zero > $out" {{ }};
  reference = d "reference" "echo ${{ok}} > $out" {{ allowedReferences = [ ]; }};
  nobuilder = d "nobuilder" "" {{ builder = "/nonexistent/builder"; }};
}}
"""

EVALUATIONS = """{ outputs = _: {
  throw = throw "this host is broken\\nbecause of that";
  throw-phrase = builtins.trace "error: out of memory" (throw "a test said: No space left on device");
  assertion = assert 1 == 2; 1;
  assertion-plain = assert false; 1;
  nixos-assertions = throw "\\nFailed assertions:\\n- The ‘fileSystems’ option is not set.\\n- Set a boot loader.";
  infinite-recursion = let x = x + 1; in x;
  missing-attribute = { a = 1; }.b; # No space left on device
  undefined-variable = import ./undefined.nix { };
  syntax = import ./syntax.nix;
  stack-overflow = let f = n: 1 + f (n + 1); in f 0;
  abort = abort "stop";
  missing-path = import ./nowhere.nix;
  from-derivation = import (derivation {
    name = "ifd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo no; exit 1" ]; });
}; }"""
PLAIN = "{ outputs = _: { }; }"


class Recorder:
    def __init__(self, nix: Path) -> None:
        banner = subprocess.run([nix / "nix", "--version"], capture_output=True, text=True, check=True).stdout
        self.version = ".".join(banner.split()[-1].split(".")[:2])
        self.root = Path("/tmp/rec") / self.version  # noqa: S108  (short, so that recorded lines stay readable)
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "store").mkdir(parents=True)
        self.environ = {
            "PATH": f"{nix}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "NIX_STORE_DIR": f"{self.root}/store",
            "NIX_STATE_DIR": f"{self.root}/var",
            "NIX_LOG_DIR": f"{self.root}/log",
            "NIX_CONF_DIR": f"{self.root}/conf",
            "NIX_CONFIG": "build-users-group =\nsandbox = false\nexperimental-features = nix-command flakes\n"
            "substituters =\nflake-registry =\nconnect-timeout = 3\ndownload-attempts = 1\nwarn-dirty = false",
            "NO_COLOR": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        self.day = 0
        self.failures = ""
        self.updates: list[dict[str, str]] = []
        (self.root / "drv.nix").write_text(DERIVATIONS)

    def run(
        self, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, memory: int = 0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environ | dict(env or {}),
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            check=False,
            preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_AS, (memory, memory))
            if memory
            else None,
        )

    def must(self, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        finished = self.run(*argv, cwd=cwd, env=env)
        if finished.returncode:
            raise SystemExit(f"{argv}: {finished.stderr}")
        return finished.stdout.strip()

    def failure(
        self,
        case: str,
        *argv: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        memory: int = 0,
    ) -> None:
        finished = self.run(*argv, cwd=cwd, env=env, memory=memory)
        self.failures += f"===== {case} {finished.returncode}\n{finished.stderr}"

    def git(self, where: Path, *arguments: str) -> None:
        self.day += 1
        date = f"2024-{1 + self.day // 28:02}-{1 + self.day % 28:02}T12:00:00Z"
        env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        self.must("git", "-C", str(where), *arguments, env=env)

    def repository(self, name: str, flake: str, **others: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True)
        self.git(path, "init", "-q", "-b", "main")
        self.commit(path, flake, **others)
        return path

    def commit(self, path: Path, flake: str | None = None, **others: str) -> None:
        files = others | {"flake.nix": flake} if flake else others | {"version": str(self.day)}
        for name, text in files.items():
            (path / name).write_text(text)
        self.git(path, "add", ".")
        self.git(path, "commit", "-q", "-m", "x")

    def derivation(self, name: str, env: Mapping[str, str] | None = None) -> str:
        return self.must("nix-instantiate", "drv.nix", "-A", name, env=env).split("!")[0]

    # -- what fails ---------------------------------------------------------------------------------------

    def builds(self) -> None:
        def realise(
            case: str, *names: str, options: tuple[str, ...] = ("-Q",), env: Mapping[str, str] | None = None
        ) -> None:
            self.failure(case, "nix-store", "--realise", "-k", *options, *map(self.derivation, names), env=env)

        realise("builder-failed", "fail")
        realise("builder-failed-silently", "fail2")
        realise("dependency", "top")
        realise("several", "both", "fail", "onfod")
        realise("hash-mismatch", "fod")
        realise("hash-mismatch-below", "onfod")
        realise("timeout", "sleep", options=("-Q", "--timeout", "1"))
        realise("timeout-of-silence", "silent", options=("-Q", "--max-silent-time", "1"))
        realise("killed", "kill9")
        realise("no-output", "silentfail")
        realise("no-dev-output", "nodev")
        realise("platform", "foreign")
        realise("platform-feature", "feature")
        realise("platform-below", "onforeign")
        realise("download-in-a-build", "fetch")
        realise("forbidden-reference", "reference")
        realise("no-such-builder", "nobuilder")
        realise("noise", "noisy")
        realise("noise-raw", "noisy", options=())
        self.failure("noise-prefixed", "nix", "build", "-L", "--no-link", self.derivation("noisy") + "^*")
        kept = (self.derivation(name) + "^*" for name in ("fail", "both", "foreign"))
        self.failure("nix-build-keep-going", "nix", "build", "--keep-going", "--no-link", *kept)
        self.must("nix-store", "--realise", check := self.derivation("check"))
        self.failure("check-mismatch", "nix-store", "--realise", "--check", check)
        gone = f"{self.root}/store/00000000000000000000000000000000-gone.drv"
        self.failure("collected", "nix-store", "--realise", gone)
        socket = {"NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": f"{self.root}/no.sock"}
        self.failure("daemon", "nix-store", "--realise", self.derivation("fail"), env=socket)
        realise(
            "builder-host", "fail2", options=("-Q", "-j0", "--builders", "ssh-ng://root@127.0.0.1 x86_64-linux")
        )
        realise(
            "builder-host-of-another-system",
            "foreign",
            options=("-Q", "--builders", "ssh-ng://root@127.0.0.1 aarch64-darwin"),
        )
        realise("builder-host-none", "fail2", options=("-Q", "-j0"))

    def evaluations(self) -> None:
        flake = self.repository(
            "flake", EVALUATIONS, **{"undefined.nix": "{ }: nosuchvariable", "syntax.nix": "{ a = 1\n b = 2; }"}
        )
        names = [line.split()[0] for line in EVALUATIONS.splitlines() if line.startswith("  ") and " = " in line]
        for name in (name for name in names if name != "name"):
            self.failure(f"eval-{name}", "nix", "eval", f"git+file://{flake}#{name}")
        self.failure("eval-no-such-output", "nix", "eval", f"git+file://{flake}#nosuch")
        url = f'builtins.fetchTarball "http://127.0.0.1:{HTTP}/404/x.tar.gz"'
        self.failure("eval-download-404", "nix", "eval", "--impure", "--expr", url)
        big = "builtins.length (builtins.genList (x: x) 400000000)"
        self.failure("eval-memory", "nix", "eval", "--expr", big, memory=600 << 20)

    def with_input(self, name: str, url: str) -> Path:
        return self.repository(
            name, f'{{ inputs.a = {{ url = "{url}"; flake = false; }}; outputs = i: {{ x = import i.a; }}; }}'
        )

    def fetches(self) -> None:
        source = self.repository("source", PLAIN)
        server = f"http://127.0.0.1:{HTTP}"
        urls = {f"http-{code}": f"{server}/{code}/x.tar.gz" for code in (401, 403, 404, 429, 503)}
        urls |= {
            "refused": "http://127.0.0.1:1/x.tar.gz",
            "no-host": "https://nosuchhost.invalid/x.tar.gz",
            "github-offline": "github:NixOS/nixpkgs",
            "git-refused": "git+http://127.0.0.1:1/x",
            "git-refused-ref": "git+http://127.0.0.1:1/x?ref=main",
            "git-no-host": "git+https://nosuchhost.invalid/x?ref=main",
            "git-404": f"git+{server}/404/x",
            "git-401-ref": f"git+{server}/401/x?ref=main",
            "git-ssh-refused": "git+ssh://git@127.0.0.1/x?ref=main",
            "git-no-ref-local": f"git+file://{source}?ref=nosuch",
            "git-no-rev-local": f"git+file://{source}?rev={'1' * 40}",
            "git-no-repository": f"git+file://{self.root}",
            "git-no-directory": f"git+file://{self.root}/gone",
            "git-no-ref": f"git://127.0.0.1:{GIT}/source?ref=nosuch",
            "git-no-rev": f"git://127.0.0.1:{GIT}/source?rev={'1' * 40}",
        }
        stale = {"": "git-stale", "?ref=main": "git-stale-ref"}
        with self.git_daemon():
            for case, url in urls.items():
                self.failure(f"fetch-{case}", "nix", "flake", "update", cwd=self.with_input(f"fetch-{case}", url))
            for query, case in stale.items():
                path = self.with_input(case, f"git://127.0.0.1:{GIT}/source{query}")
                self.must("nix", "flake", "update", cwd=path)
        for case in stale.values():
            self.failure(case, "nix", "flake", "update", "--option", "tarball-ttl", "0", cwd=self.root / case)
        path = self.with_input("no-such-input", f"git+file://{source}")
        self.failure("no-such-input", "nix", "flake", "update", "nosuch", cwd=path)
        path = self.with_input("nar-hash", f"path:{source}")
        self.must("nix", "flake", "update", cwd=path)
        lock = json.loads((path / "flake.lock").read_text())
        lock["nodes"]["a"]["locked"]["narHash"] = WRONG
        self.commit(path, **{"flake.lock": json.dumps(lock)})
        self.failure("nar-hash-mismatch", "nix", "eval", f"{path}#x")

    def locks(self) -> None:
        url = {"type": "git", "url": f"file://{self.root}/source"}
        nodes = {"root": {"inputs": {"a": "a"}}}
        locks = {
            "missing-node": json.dumps({"nodes": nodes, "root": "root", "version": 7}),
            "too-new": json.dumps({"nodes": nodes, "root": "root", "version": 8}),
            "corrupt": '{"nodes": {',
            "empty": "",
            "unlocked": json.dumps(
                {"nodes": nodes | {"a": {"locked": url, "original": url}}, "root": "root", "version": 7}
            ),
        }
        for case, text in locks.items():
            path = self.with_input(f"lock-{case}", url["url"].replace("file:", "git+file:"))
            self.commit(path, **{"flake.lock": text})
            self.failure(f"lock-{case}", "nix", "flake", "metadata", cwd=path)
        path = self.with_input("lock-outdated", url["url"].replace("file:", "git+file:"))
        rev = self.must("git", "rev-parse", "HEAD", cwd=path)
        self.failure("lock-outdated", "nix", "eval", "--no-update-lock-file", f"git+file://{path}?rev={rev}#x")

    def full_disk(self) -> None:
        with self.small_disk() as small:
            env = {"NIX_STORE_DIR": f"{small}/store", "NIX_STATE_DIR": f"{small}/var"}
            drv = self.derivation("disk", env=env)
            self.failure("disk-full-in-a-build", "nix-store", "--realise", "-Q", drv, env=env)
            (small / "filler").write_bytes(b"x")
            self.run("sh", "-c", f"head -c 100000000 /dev/zero > {small}/filler")
            self.failure("disk-full", "nix-instantiate", "drv.nix", "-A", "noisy", env=env)

    @contextmanager
    def small_disk(self) -> Iterator[Path]:
        path = self.root / "small"
        path.mkdir()
        self.must("mount", "-t", "tmpfs", "-o", "size=16m", "none", str(path))
        try:
            yield path
        finally:
            self.must("umount", str(path))

    @contextmanager
    def git_daemon(self) -> Iterator[None]:
        argv = ["git", "daemon", f"--base-path={self.root}", "--export-all", "--reuseaddr", f"--port={GIT}"]
        # A session of its own: `git daemon` is a child of `git`, and both must go.
        process = subprocess.Popen([*argv, "--listen=127.0.0.1", str(self.root)], env=self.environ)
        time.sleep(0.5)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    # -- what is written into commits ---------------------------------------------------------------------

    def lock_messages(self) -> None:
        where = self.root / "u"
        names = ("base", "other", "plain", "mid", "top", "main")
        url = {name: f"git+file://{where}/{name}" for name in names}
        for name in ("base", "other", "plain"):
            self.repository(f"u/{name}", PLAIN)
        self.repository("u/mid", f'{{ inputs.base.url = "{url["base"]}"; outputs = _: {{ }}; }}')
        two = f'{{ inputs.base.url = "{url["base"]}"; inputs.mid.url = "{url["mid"]}"; outputs = _: {{ }}; }}'
        self.repository("u/top", two)
        text_file = where / "some file.txt"
        text_file.write_text("1")
        main = self.repository("u/main", PLAIN, **{"sub.nix": "1"})

        def step(case: str, inputs: str, *verb: str) -> None:
            (main / "sub").mkdir(exist_ok=True)
            (main / "sub" / "flake.nix").write_text(PLAIN)
            self.commit(main, f"{{ inputs = {{ {inputs} }}; outputs = _: {{ }}; }}")
            lock = main / "flake.lock"
            old = lock.read_text() if lock.exists() else ""
            self.must("nix", "flake", *verb, "--commit-lock-file", cwd=main)
            message = self.must("git", "log", "-1", "--format=%B", cwd=main)
            self.updates.append({"case": case, "old": old, "new": lock.read_text(), "message": message})

        three = f'base.url = "{url["base"]}"; top.url = "{url["top"]}"; '
        inner = f'top.inputs.mid = {{ url = "{url["mid"]}"; inputs.base.follows = "%s"; }};'
        plain = f'plain = {{ url = "{url["plain"]}"; flake = false; }};'
        step("first", three + plain, "update")
        self.commit(where / "base")
        self.commit(where / "plain")
        step("updated", three + plain + " ", "update")
        step("to follows", three + plain + 'top.inputs.base.follows = "base";' + inner % "top/base", "lock")
        other = f'other.url = "{url["other"]}?ref=main"; zz.follows = "top/mid";'
        step("re-followed", three + other + 'top.inputs.base.follows = "other";' + inner % "", "lock")
        self.commit(where / "mid")
        step("from follows", three, "update")
        step("original only", three.replace("/base", "/base?ref=main", 1), "lock")
        paths = f'sub.url = "path:./sub"; abs.url = "path:{where}/plain";'
        paths += f'f = {{ url = "file://{where}/some%20file.txt"; flake = false; }};'
        step("paths", three + paths, "lock")
        text_file.write_text("2")
        self.commit(where / "plain")
        step("paths updated", three + paths + " ", "update")
        step("order", f'a-b_c.url = "{url["mid"]}"; a.url = "{url["top"]}"; a\'.url = "{url["base"]}";', "lock")


class Status(http.server.BaseHTTPRequestHandler):
    """Answers /404/anything with 404, and so on."""

    def do_GET(self) -> None:  # the name is http.server's
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        """Nothing is worth a line."""


def main() -> None:
    recorder = Recorder(Path(sys.argv[1]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", HTTP), Status)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    recorder.builds()
    recorder.evaluations()
    recorder.fetches()
    recorder.locks()
    recorder.full_disk()
    recorder.lock_messages()
    (HERE / f"failures-{recorder.version}.txt").write_text(recorder.failures)
    text = json.dumps(recorder.updates, indent=1, ensure_ascii=False)
    (HERE / f"updates-{recorder.version}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
