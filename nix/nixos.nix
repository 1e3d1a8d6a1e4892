# services.lockbot: the daemon, or a timer, for one repository or several. The units are those of systemd/.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  common = import ./common.nix { inherit lib pkgs; };
  cfg = config.services.lockbot;
  state = "/var/lib/lockbot";

  # Name → settings. The name is part of the units' and files'; "" where `repositories` is not used.
  repositories =
    if cfg.repositories == { } then
      { "" = shared; }
    else
      builtins.mapAttrs (_: one: lib.recursiveUpdate shared (common.given one.settings)) cfg.repositories;
  # Written out, so that `lockbot status` finds it without the unit's environment.
  shared = lib.recursiveUpdate (lib.recursiveUpdate { state.directory = state; } (
    common.given cfg.settings
  )) page;
  # What was set of the page's options, beside the settings' own.
  page =
    let
      given =
        lib.optionalAttrs (cfg.web.listen != null) { inherit (cfg.web) listen; }
        // lib.optionalAttrs (cfg.web.hosts != [ ]) { inherit (cfg.web) hosts; }
        // lib.optionalAttrs (cfg.web.basePath != null) { base_path = cfg.web.basePath; };
    in
    lib.optionalAttrs (cfg.web.enable && given != { }) { web = given; };
  each = make: builtins.listToAttrs (lib.mapAttrsToList make repositories);
  fileOf = name: if name == "" then "lockbot.toml" else "${name}.toml";

  checked = name: common.file cfg (fileOf name);

  local = settings: lib.optional (settings ? repository.path) settings.repository.path;
  # `places`: the local repositories that it works on.
  unit = places: more: {
    documentation = common.documentation cfg;
    wants = [
      "network-online.target"
      "nix-daemon.socket"
    ];
    after = [
      "network-online.target"
      "nix-daemon.socket"
    ];
    environment = {
      NIX_REMOTE = "daemon";
      XDG_CACHE_HOME = "/var/cache/lockbot";
    };
    path = [
      config.nix.package
      pkgs.git
      pkgs.openssh
    ];
  }
  // more
  // {
    serviceConfig =
      import ./hardening.nix
      // {
        User = cfg.user;
        Group = cfg.group;
        StateDirectory = "lockbot";
        StateDirectoryMode = "0700";
        CacheDirectory = "lockbot";
        CacheDirectoryMode = "0700";
        WorkingDirectory = "%S/lockbot";
        ReadWritePaths = places;
        LoadCredential = lib.mapAttrsToList (key: path: "${key}:${path}") cfg.credentials;
        TimeoutStopSec = "90s";
        KillMode = "mixed";
        OOMPolicy = "continue";
        MemoryMax = "75%";
        TasksMax = 512;
        LimitCORE = 0;
        UMask = "0077";
      }
      // more.serviceConfig;
  };

  # One for all: it reads every file in the directory.
  daemon = {
    lockbot = unit (lib.concatMap local (builtins.attrValues repositories)) {
      description = "lockbot, which keeps flake.lock as new as it can be";
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = lib.mapAttrsToList checked repositories;
      unitConfig = {
        StartLimitIntervalSec = "10min";
        StartLimitBurst = 5;
      };
      serviceConfig = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = "${lib.getExe cfg.package} daemon --config /etc/lockbot";
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
        RuntimeDirectory = "lockbot";
        RuntimeDirectoryMode = "0700";
        Restart = "always";
        RestartSec = "5s";
        RestartPreventExitStatus = 2;
        WatchdogSec = "60s";
        TimeoutStartSec = "90s";
      };
    };
  };

  # Only reads: no credential, no Nix, nothing that it could write but its socket.
  web = {
    lockbot-web = {
      description = "lockbot's page to look at";
      documentation = common.documentation cfg;
      wantedBy = [ "multi-user.target" ];
      after = [ "lockbot.service" ];
      restartTriggers = lib.mapAttrsToList checked repositories;
      environment = {
        HOME = "/var/empty";
        STATE_DIRECTORY = state;
      };
      path = [ pkgs.git ];
      serviceConfig = import ./hardening.nix // {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = "${lib.getExe cfg.package} web --config /etc/lockbot";
        User = cfg.user;
        Group = cfg.group;
        RuntimeDirectory = "lockbot-web";
        RuntimeDirectoryMode = "0750";
        WorkingDirectory = "/";
        Restart = "always";
        RestartSec = "5s";
        RestartPreventExitStatus = 2;
        TimeoutStartSec = "90s";
        TimeoutStopSec = "30s";
        MemoryMax = "256M";
        TasksMax = 64;
        LimitCORE = 0;
        UMask = "0077";
        ProtectProc = "default"; # the daemon's life stands in /proc
        IPAddressDeny = "any";
        IPAddressAllow = "localhost";
      };
    };
  };

  updater = name: if name == "" then "lockbot-update" else "lockbot-update-${name}";
  oneshot = name: settings: {
    name = updater name;
    value = unit (local settings) {
      description = "one run of lockbot";
      restartIfChanged = false; # the run that a new configuration meets goes on to its end
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${lib.getExe cfg.package} --config /etc/lockbot/${fileOf name} update --wait";
        TimeoutStartSec = "36h";
      };
    };
  };

  timer = name: _: {
    name = updater name;
    value = {
      description = "one run of lockbot every night";
      documentation = common.documentation cfg;
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.timer.calendar;
        RandomizedDelaySec = cfg.timer.randomizedDelay;
        FixedRandomDelay = true;
        Persistent = true;
      };
    };
  };

  # -- mistakes that only the machine's configuration shows; lockbot's own check finds the others ---------------

  mistakesOf =
    name: settings:
    let
      option =
        if name == "" then "services.lockbot.settings" else "services.lockbot.repositories.${name}.settings";
      path = settings.repository.path or null;
      below = place: path == place || lib.hasPrefix "${place}/" path;
    in
    common.mistakes {
      inherit option settings;
      secret = key: "use services.lockbot.credentials.\"${key}\" = \"/path/to/file\"";
    }
    ++ [
      {
        assertion = path == null || !(lib.any below [ "/home" "/root" "/run/user" ]);
        message = "${option}.repository.path is `${toString path}`, which the service can't see (ProtectHome=): give the `url` that you push to, or keep a clone in ${state} or /srv, owned by ${cfg.user}.";
      }
      {
        assertion =
          cfg.timer.enable || settings ? schedule.when || lib.any (group: group ? schedule) (settings.group or [ ]);
        message = ''${option} has no schedule: set `schedule.when = "0 4 * * *"`, or use services.lockbot.timer.'';
      }
      {
        assertion = (settings.state.directory or state) == state;
        message = "${option}.state.directory: the service may write to ${state} only. Leave it out.";
      }
      {
        assertion = !cfg.web.enable || reachable (settings.web.listen or "127.0.0.1:8465");
        message = "${option}.web.listen (services.lockbot.web.listen) is `${
          toString (settings.web.listen or "")
        }`, which nobody could reach: lockbot-web.service talks to this machine only. Take 127.0.0.1:8465 or unix:/run/lockbot-web/web.sock, and let a proxy lead there.";
      }
      {
        assertion = builtins.match "[A-Za-z0-9_-]*" name != null;
        message = "services.lockbot.repositories.\"${name}\": the name becomes a unit's and a file's, so it is made of letters, digits, - and _.";
      }
    ];

  reachable =
    listen:
    lib.any (start: lib.hasPrefix start listen) [
      "127."
      "localhost:"
      "[::1]:"
      "unix:/run/lockbot-web/"
    ];

  names = setting: config.nix.settings.${setting} or [ ];
  listed =
    setting: lib.any (one: builtins.elem one (names setting)) [ cfg.user "@${cfg.group}" "*" ];
  surroundings = [
    {
      assertion = config.nix.enable;
      message = "services.lockbot needs Nix's daemon: set nix.enable.";
    }
    {
      assertion = cfg.user != "root" && !(listed "trusted-users");
      message = "services.lockbot.user (${cfg.user}) must not be root or in nix.settings.trusted-users: whom Nix trusts can become root, and lockbot evaluates what upstream sends. Take the default.";
    }
    {
      assertion = names "allowed-users" == [ ] || listed "allowed-users";
      message = "nix.settings.allowed-users does not have ${cfg.user}: Nix's daemon would refuse lockbot. Add it there.";
    }
  ]
  ++ lib.mapAttrsToList (key: path: {
    assertion = lib.hasPrefix "/" path && !(lib.hasPrefix builtins.storeDir path);
    message = "services.lockbot.credentials.\"${key}\" is `${path}`: it must be the absolute path of a file outside the Nix store, where everybody could read it.";
  }) cfg.credentials;
in
{
  _class = "nixos";

  options.services.lockbot = {
    enable = lib.mkEnableOption "lockbot, which keeps flake.lock as new as it can be while every host still builds";

    inherit (common) package checkConfig;

    settings = common.settings {
      description = "What would stand in lockbot.toml, as explained in config/lockbot.toml; with `repositories`, what they have in common.";
      daemon = true;
    };

    repositories = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.settings = common.settings {
            description = "This repository's, beside and before `services.lockbot.settings`.";
            daemon = true;
          };
        }
      );
      default = { };
      example = {
        fleet.settings.repository.url = "ssh://git@example.org/fleet.git";
        home.settings.repository.path = "/srv/home";
      };
      description = "Several repositories: one daemon for all, or each with a timer of its own.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        "eval.access_tokens" = "/run/secrets/nix-access-tokens";
        "forge.github.com.token" = "/run/secrets/github-token";
      };
      description = "Secrets, by the key that each is the value of: files of root's, which only lockbot sees while it runs.";
    };

    timer = {
      enable = lib.mkEnableOption "a timer for `lockbot update`, in place of the daemon";
      inherit (common.timer) calendar randomizedDelay;
    };

    web = {
      enable = lib.mkEnableOption "the page to look at, `lockbot web`, on this machine";
      listen = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "unix:/run/lockbot-web/web.sock";
        description = "Where it listens, if not at 127.0.0.1:8465: another address of this machine's own, or a socket in /run/lockbot-web, which a proxy in the group may use.";
      };
      hosts = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "lockbot.example.org" ];
        description = "Names by which browsers reach it: a proxy's.";
      };
      basePath = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/lockbot";
        description = "Where it lies behind a proxy, if not at the top.";
      };
    };

    user = mkOption {
      type = types.str;
      default = "lockbot";
      description = "The user who runs it; made where it is `lockbot`. Never one whom Nix trusts.";
    };

    group = mkOption {
      type = types.str;
      default = "lockbot";
      description = "That user's group; made where it is `lockbot`.";
    };
  };

  config = mkIf cfg.enable {
    assertions = surroundings ++ builtins.concatLists (lib.mapAttrsToList mistakesOf repositories);

    users.users = mkIf (cfg.user == "lockbot") {
      lockbot = {
        isSystemUser = true;
        inherit (cfg) group;
        home = state;
        description = "lockbot";
      };
    };
    users.groups = mkIf (cfg.group == "lockbot") { lockbot = { }; };

    # For `sudo -u lockbot lockbot --config /etc/lockbot/lockbot.toml status`.
    environment.systemPackages = [ cfg.package ];
    environment.etc = each (
      name: settings: {
        name = "lockbot/${fileOf name}";
        value.source = checked name settings;
      }
    );

    systemd.services =
      (if cfg.timer.enable then each oneshot else daemon) // lib.optionalAttrs cfg.web.enable web;
    systemd.timers = mkIf cfg.timer.enable (each timer);
  };
}
