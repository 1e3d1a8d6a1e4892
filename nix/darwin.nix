# services.lockbot in nix-darwin: an agent of the primary user's, for a flake that this user keeps. Not a daemon of
# launchd's, which would be root, or have neither the user's keychain nor the user's ssh agent.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  common = import ./common.nix { inherit lib pkgs; };
  cfg = config.services.lockbot;
  option = "services.lockbot.settings";

  # Written out, so that lockbot finds the same in a shell that has XDG_STATE_HOME, which launchd has not.
  settings = lib.recursiveUpdate { state.directory = "~/.local/state/lockbot"; } (common.given cfg.settings);
in
{
  _class = "darwin";

  options.services.lockbot = {
    enable = lib.mkEnableOption "a timer for `lockbot update`, which keeps flake.lock as new as it can be while every host still builds";

    inherit (common) package checkConfig;

    settings = common.settings {
      description = "What would stand in lockbot.toml, as explained in config/lockbot.toml.";
    };

    timer = { inherit (common) interval; };
  };

  config = lib.mkIf cfg.enable {
    assertions =
      common.mistakes {
        inherit option settings;
        homes = true;
        secret = key: ''write `{ file = "/path/to/file"; }`'';
      }
      ++ [ (common.unscheduled { inherit option settings; }) ];

    environment.systemPackages = [ cfg.package ];
    environment.etc."lockbot/lockbot.toml".source = common.file cfg "lockbot.toml" settings;

    launchd.user.agents.lockbot-update = {
      managedBy = "services.lockbot.enable";
      command = "${lib.getExe cfg.package} --config /etc/lockbot/lockbot.toml update --wait";
      # ssh is the system's own, which knows the keychain (UseKeychain in ~/.ssh/config).
      path = lib.optional config.nix.enable config.nix.package ++ [
        pkgs.git
        config.environment.systemPath
      ];
      environment = lib.filterAttrs (name: _: name == "NIX_SSL_CERT_FILE") config.environment.variables;
      serviceConfig = common.job cfg "${config.system.primaryUserHome}/Library/Logs/lockbot.log";
    };
  };
}
