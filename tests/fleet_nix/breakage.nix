# What it means to be broken: one kind of failure each, at evaluation or at build.
#   evaluated: forced with the toplevel; throws, or is null
#   script:    shell text that the toplevel's builder runs before it writes its output
#   packages:  derivations that the toplevel needs
# kind = null: nothing is broken. `state` is a directory outside the store, for what must remember.
{ kind, text, name, system, state }:
let
  clean = builtins.replaceStrings [ "'" ] [ "" ] text;
  say = "echo '${clean}'";
  derived = suffix: script: attributes: derivation ({
    name = "${name}-${suffix}";
    inherit system;
    builder = "/bin/sh";
    args = [ "-c" script ];
    salt = state;
  } // attributes);
  failing = derived "broken" "${say}; exit 1" { };
  fine = { evaluated = null; script = ""; packages = [ ]; };
  slow = builtins.genList (n: n) 100000;
  kinds = {
    throw.evaluated = throw text;
    "assert".evaluated = assert builtins.stringLength text < 0; null;
    # as NixOS's own modules say it
    assertion.evaluated = throw "\nFailed assertions:\n- ${text}";
    abort.evaluated = abort text;
    missing-attribute.evaluated = { }.${clean};
    missing-file.evaluated = import ./no-such-file.nix;
    type.evaluated = 1 + text;
    infinite-recursion.evaluated = let loop = loop + 1; in loop;
    # hours of it, in constant memory, deaf to SIGINT
    endless-evaluation.evaluated = builtins.foldl' (a: _: builtins.foldl' (b: n: b + n) a slow) 0 slow;
    # an evaluation that has to build, and the build fails
    import-from-derivation.evaluated = builtins.readFile failing;

    build.script = "${say}; exit 1";
    dependency.packages = [ failing ];
    deep-dependency.packages = [ (derived "middle" ": $need; echo ok >$out" { need = failing; }) ];
    hash-mismatch.packages = [
      (derived "source" "${say} >$out" {
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = "0000000000000000000000000000000000000000000000000000";
      })
    ];
    timeout.script = "while :; do echo still at it; /bin/sleep 0.2; done";
    silent.script = "exec /bin/sleep 3600";
    killed.script = "kill -9 $$";
    no-output.script = "exit 0";
    # fails the first time, works the second
    flaky.script = "if ! [ -e '${state}/flaky-${name}' ]; then : >'${state}/flaky-${name}'; ${say}; exit 1; fi";
  };
in
if kind == null then fine else fine // kinds.${kind}
