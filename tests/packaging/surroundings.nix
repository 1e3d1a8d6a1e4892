# As much of NixOS, Home Manager and nix-darwin around the modules in nix/ as these define or read, for the stand-in for
# lib or for the real one: the options' places are their own, their types are loose. `surroundings` names one of the
# three. Answers with what results: `config`, and with the real lib `options`.
{ lib, surroundings, module, machine }:
let
  derivation = name: more: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  } // more;
  pkgs = {
    lockbot = derivation "lockbot" {
      meta.mainProgram = "lockbot";
      meta.homepage = "https://example.org/lockbot";
    };
    coreutils = derivation "coreutils" { };
    git = derivation "git" { };
    openssh = derivation "openssh" { };
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform.system = "x86_64-linux";
    };
    formats.toml = _: {
      type = tomlValue;
      generate = name: value: derivation name { settings = value; };
    };
    runCommand = name: given: script: derivation name (given // { inherit script; });
  };
  # As nixpkgs has it: everything but null.
  tomlValue = types.oneOf [
    types.bool
    types.int
    types.float
    types.str
    types.path
    (types.attrsOf tomlValue)
    (types.listOf tomlValue)
  ] // { name = "TOML value"; description = "TOML value"; };
  option = type: default: lib.mkOption { inherit type default; };
  inherit (lib) types;
  loose = option (types.attrsOf types.anything) { };
  assertions = option (types.listOf types.anything) [ ];
  declared = {
    nixos = {
      inherit assertions;
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
    home-manager = {
      inherit assertions;
      home.homeDirectory = option types.str "/home/me";
      home.profileDirectory = option types.str "/home/me/.nix-profile";
      home.packages = option (types.listOf types.package) [ ];
      nix.package = option (types.nullOr types.package) null;
      xdg.configHome = option types.str "/home/me/.config";
      xdg.stateHome = option types.str "/home/me/.local/state";
      xdg.configFile = loose;
      systemd.user.services = loose;
      systemd.user.timers = loose;
      launchd.agents = loose;
    };
    darwin = {
      inherit assertions;
      environment.etc = loose;
      environment.systemPackages = option (types.listOf types.package) [ ];
      environment.systemPath = option types.str "/run/current-system/sw/bin:/usr/bin:/bin";
      environment.variables = loose;
      nix.enable = option types.bool true;
      nix.package = option types.package (derivation "nix" { });
      system.primaryUserHome = option types.str "/Users/me";
      launchd.user.agents = loose;
    };
  };
in
lib.evalModules {
  class = if surroundings == "home-manager" then "homeManager" else surroundings;
  modules = [ { options = declared.${surroundings}; } module machine ];
  specialArgs = { inherit pkgs; };
}
