# As much of NixOS around nix/nixos.nix as it defines or reads, for the stand-in for lib or for the real one: the
# options' places are NixOS' own, their types are loose. Answers with the configuration that results.
{ lib, module, machine }:
let
  derivation = name: more: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  } // more;
  pkgs = {
    lockbot = derivation "lockbot" { meta.mainProgram = "lockbot"; };
    coreutils = derivation "coreutils" { };
    git = derivation "git" { };
    openssh = derivation "openssh" { };
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform.system = "x86_64-linux";
    };
    formats.toml = _: {
      type = lib.types.attrsOf lib.types.anything;
      generate = name: value: derivation name { settings = value; };
    };
    runCommand = name: given: script: derivation name (given // { inherit script; });
  };
  option = type: default: lib.mkOption { inherit type default; };
  inherit (lib) types;
  loose = option (types.attrsOf types.anything) { };
  nixos.options = {
    assertions = option (types.listOf types.anything) [ ];
    environment.etc = loose;
    environment.systemPackages = option (types.listOf types.package) [ ];
    nix.enable = option types.bool true;
    nix.package = option types.package (derivation "nix" { });
    nix.settings = loose;
    systemd.services = loose;
    systemd.timers = loose;
    users.users = loose;
    users.groups = loose;
  };
in
(lib.evalModules {
  modules = [ nixos module machine ];
  specialArgs = { inherit pkgs; };
}).config
