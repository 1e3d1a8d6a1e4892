# services.lockbot in Home Manager: a timer of the user's own, for a flake that the user keeps. It runs as the user
# and so with the user's git and ssh, as `lockbot update` on the command line does; nix/nixos.nix has the service that
# is a user of its own.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  common = import ./common.nix { inherit lib pkgs; };
  cfg = config.services.lockbot;
  home = config.home.homeDirectory;
  option = "services.lockbot.settings";

  # Written out, so that lockbot finds the same in a shell that has another XDG_STATE_HOME than the timer.
  settings = lib.recursiveUpdate { state.directory = "${config.xdg.stateHome}/lockbot"; } (common.given cfg.settings);
  command = [
    (lib.getExe cfg.package)
    "--config"
    "${config.xdg.configHome}/lockbot/lockbot.toml"
    "update"
    "--wait"
  ];

  # As in a login shell: a timer has less. The user's programs come first, for git's credential helpers and for what
  # ~/.ssh/config is written for; git and ssh of nixpkgs are for those who have none.
  path = lib.concatStringsSep ":" (
    lib.optional (config.nix.package != null) "${config.nix.package}/bin"
    ++ [
      "${config.home.profileDirectory}/bin"
      "/nix/var/nix/profiles/default/bin"
      "/run/current-system/sw/bin"
      "/usr/local/bin"
      "/usr/bin"
      "/bin"
      (lib.makeBinPath [
        pkgs.git
        pkgs.openssh
      ])
    ]
  );
in
{
  _class = "homeManager";

  options.services.lockbot = {
    enable = lib.mkEnableOption "a timer for `lockbot update`, which keeps flake.lock as new as it can be while every host still builds";

    inherit (common) package checkConfig;

    settings = common.settings {
      description = "What would stand in lockbot.toml, as explained in config/lockbot.toml.";
    };

    timer = common.timer // {
      inherit (common) interval;
    };
  };

  config = lib.mkIf cfg.enable {
    assertions =
      common.mistakes {
        inherit option settings;
        homes = true;
        secret = key: ''write `{ file = "/path/to/file"; }`'';
      }
      ++ [ (common.unscheduled { inherit option settings; }) ];

    home.packages = [ cfg.package ];
    xdg.configFile."lockbot/lockbot.toml".source = common.file cfg "lockbot.toml" settings;

    systemd.user.services.lockbot-update = {
      Unit = {
        Description = "one run of lockbot";
        Documentation = common.documentation cfg;
        X-SwitchMethod = "keep-old"; # the run that a new configuration meets goes on to its end
      };
      Service = {
        Type = "oneshot";
        ExecStart = toString command;
        Environment = [ "PATH=${path}" ];
        TimeoutStartSec = "36h";
        TimeoutStopSec = "90s";
        KillMode = "mixed";
        OOMPolicy = "continue";
        LimitCORE = 0;
        # What runs here is evaluation; builds are the Nix daemon's, and have its priority.
        Nice = 10;
        IOSchedulingClass = "idle";
        # What needs a mount namespace (ProtectSystem=, PrivateTmp=) would have the files of root's belong to nobody,
        # which ssh refuses; RestrictNamespaces= would keep a Nix without a daemon from its sandbox.
        NoNewPrivileges = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
      };
    };

    systemd.user.timers.lockbot-update = {
      Unit = {
        Description = "one run of lockbot every night";
        Documentation = common.documentation cfg;
      };
      Timer = {
        OnCalendar = cfg.timer.calendar;
        RandomizedDelaySec = cfg.timer.randomizedDelay;
        FixedRandomDelay = true;
        Persistent = true;
      };
      Install.WantedBy = [ "timers.target" ];
    };

    # Home Manager makes it of this on macOS, and of the units above elsewhere.
    launchd.agents.lockbot-update = {
      enable = true;
      config = common.job cfg "${home}/Library/Logs/lockbot.log" // {
        ProgramArguments = command;
        EnvironmentVariables.PATH = path;
      };
    };
  };
}
