# What an input gives to the hosts that use it: its value, a package that they share, and its breakage.
{ host, system, state, nested ? { } }:
let
  data = builtins.fromJSON (builtins.readFile ./part.json);
  hit = data.kind != null && (data.hosts == [ ] || builtins.elem host data.hosts);
  broken = import ./breakage.nix {
    inherit (data) text name;
    inherit system state;
    kind = if hit then data.kind else null;
  };
  parts = builtins.map (input: (input.lib.part or (import "${input}/part.nix")) { inherit host system state; }) (builtins.attrValues nested);
  package = derivation {
    name = "${data.name}-package";
    inherit system;
    builder = "/bin/sh";
    args = [ "-c" "echo ${data.name} >>'${state}/builds'; echo \"$value\" >$out" ];
    inherit (data) value;
    salt = state;
  };
in
{
  inherit (data) value;
  evaluated = builtins.deepSeq (builtins.map (part: part.evaluated) parts) broken.evaluated;
  script = builtins.concatStringsSep "\n" ([ broken.script ] ++ builtins.map (part: part.script) parts);
  packages = [ package ] ++ broken.packages ++ builtins.concatMap (part: part.packages) parts;
}
