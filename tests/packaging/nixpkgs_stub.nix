# Stands in for the nixpkgs input, which tests can't fetch: as much of it as flake.nix touches, every package a string.
{ libraries, programs }:
let
  named = names: builtins.listToAttrs (map (name: { inherit name; value = name; }) names);
  lib = {
    optionalAttrs = condition: set: if condition then set else { };
    genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
    getExe = package: "bin/${package.meta.mainProgram}";
    makeBinPath = builtins.concatStringsSep ":";
    optionalString = condition: text: if condition then text else "";
    escapeShellArg = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
    licenses.mit = "mit";
    platforms.unix = [ "unix" ];
  };
  packages = system: named programs // {
    inherit lib;
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform = { inherit system; isLinux = builtins.match ".*-linux" system != null; };
    };
    testers.runNixOSTest = given: given;
    python3Packages = named libraries // {
      buildPythonApplication = given: given // { overridePythonAttrs = change: given // change given; };
    };
    callPackage = make: given: make (builtins.intersectAttrs (builtins.functionArgs make) (packages system) // given);
    mkShell = given: given;
    runCommand = name: given: script: given // { inherit name script; };
  };
in
{
  inherit lib;
  legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ] packages;
}
