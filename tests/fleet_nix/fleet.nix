# The outputs of a generated fleet: what fleet.json says, at the attribute paths where the real tools put it.
inputs:
let
  data = builtins.fromJSON (builtins.readFile ./fleet.json);
  revision = inputs.self.rev or inputs.self.dirtyRev or "dirty";
  part = name: inputs.${name}.lib.part or (import "${inputs.${name}}/part.nix");

  holds = parts: when:
    let
      at = builtins.map (name: parts.${name}.value == when.values.${name}) (builtins.attrNames when.values);
      number = name: builtins.fromJSON parts.${name}.value;
    in
    {
      always = true;
      together = builtins.all (same: same) at;
      apart = builtins.elem true at && builtins.elem false at;
      since = builtins.all (name: number name >= when.values.${name}) (builtins.attrNames when.values);
    }.${when.rule};

  toplevel = host:
    let
      ask = name: part name { host = host.name; inherit (host) system; inherit (data) state; };
      parts = builtins.listToAttrs (builtins.map (name: { inherit name; value = ask name; }) host.uses);
      # a rule may look at inputs that the host does not use otherwise
      asked = builtins.listToAttrs (builtins.map (name: { inherit name; value = ask name; }) data.inputs);
      used = builtins.attrValues parts;
      broken = import ./breakage.nix {
        inherit (host.failure) text;
        inherit (host) system;
        inherit (data) state;
        name = host.derivation;
        kind = if host.failure.kind != null && holds asked host.failure.when then host.failure.kind else null;
      };
      all = used ++ [ broken ];
      cost = builtins.foldl' (sum: n: sum + n) 0 (builtins.genList (n: n) host.cost);
      chain = depth: if depth == 0 then [ ] else [
        (derivation {
          name = "${host.derivation}-${builtins.toString depth}";
          inherit (host) system;
          builder = "/bin/sh";
          args = [ "-c" "echo '${host.derivation}-${builtins.toString depth}' >>'${data.state}/builds'; : >$out" ];
          need = chain (depth - 1);
          salt = data.state;
        })
      ];
    in
    builtins.seq cost (builtins.deepSeq (builtins.map (one: one.evaluated) all) (derivation {
      name = host.derivation;
      inherit (host) system;
      builder = "/bin/sh";
      args = [
        "-c"
        ''
          echo '${host.derivation}' >>'${data.state}/builds'
          ${builtins.concatStringsSep "\n" (builtins.map (one: one.script) all)}
          ${if host.seconds == 0 then "" else "/bin/sleep ${builtins.toString host.seconds}"}
          echo "$values" >$out
        ''
      ];
      values = builtins.map (one: one.value) used;
      packages = builtins.concatMap (one: one.packages) all ++ chain host.chain;
      revision = if host.uses_self_rev then revision else null;
      salt = data.state;
    }));

  of = kind: builtins.filter (host: host.kind == kind) data.hosts;
  hosts = kind: shape: builtins.listToAttrs (builtins.map (host: {
    inherit (host) name;
    value = shape (toplevel host);
  }) (of kind));
  systems = builtins.attrNames (builtins.groupBy (host: host.system) (of "package"));
  packages = builtins.listToAttrs (builtins.map (system: {
    name = system;
    value = builtins.listToAttrs (builtins.map (host: {
      inherit (host) name;
      value = toplevel host;
    }) (builtins.filter (host: host.system == system) (of "package")));
  }) systems);
  sets = {
    nixosConfigurations = hosts "nixos" (built: { config.system.build.toplevel = built; });
    darwinConfigurations = hosts "darwin" (built: { system = built; });
    homeConfigurations = hosts "home" (built: { activationPackage = built; });
    inherit packages;
  };
in
# like a real flake, one that has no host of a kind has no such set
builtins.removeAttrs sets (builtins.filter (name: sets.${name} == { }) (builtins.attrNames sets))
