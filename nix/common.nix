# What the modules for NixOS, Home Manager and nix-darwin have in common: options, the configuration file and when a
# timer runs. Each of them says where the file lies and what runs it.
{ lib, pkgs }:
let
  inherit (lib) mkOption types;
  toml = pkgs.formats.toml { };

  # Section → key → its type and text, written by `python -m lockbot.config.module_options`.
  typed = lib.importJSON ./options.json;
  typeOf =
    type:
    if builtins.isList type then
      types.enum type
    else if type ? listOf then
      types.listOf (typeOf type.listOf)
    else if type ? between then
      types.ints.between (builtins.elemAt type.between 0) (builtins.elemAt type.between 1)
    else if type == "str or number" then
      types.either types.str types.number
    else
      types.${type};
  # null is no value of TOML's: what stays null is not written, so that lockbot's own default holds.
  optionOf =
    one:
    mkOption {
      type = types.nullOr (typeOf one.type);
      default = null;
      inherit (one) description;
    }
    // lib.optionalAttrs (one ? example) { inherit (one) example; };
in
{
  # Whatever lockbot.toml may hold; the keys that most people set are options of their own. `daemon`: whether one
  # runs, for which a schedule is.
  settings =
    {
      description,
      daemon ? false,
    }:
    mkOption {
      type = types.submodule {
        freeformType = toml.type;
        options = builtins.mapAttrs (_: builtins.mapAttrs (_: optionOf)) (
          if daemon then typed else removeAttrs typed [ "schedule" ]
        );
      };
      default = { };
      inherit description;
      example = {
        repository.url = "ssh://git@example.org/nixos.git";
        policy.minimum_age = "3d";
      };
    };

  # The settings without what nobody set, as they are written to the file.
  given =
    settings:
    lib.filterAttrs (section: keys: !(typed ? ${section} && keys == { })) (
      builtins.mapAttrs (
        section: keys: if typed ? ${section} then lib.filterAttrs (_: value: value != null) keys else keys
      ) settings
    );

  package = lib.mkPackageOption pkgs "lockbot" { };

  checkConfig = mkOption {
    type = types.bool;
    default = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
    defaultText = lib.literalMD "whether lockbot can run where the system is built";
    description = "Whether to let lockbot check its configuration when the system is built.";
  };

  # The file, refused with lockbot's own words when it has a mistake: before it is deployed, not after.
  file =
    cfg: name: settings:
    let
      written = toml.generate name settings;
    in
    if !cfg.checkConfig then
      written
    else
      pkgs.runCommand name
        {
          nativeBuildInputs = [ cfg.package ];
          preferLocalBuild = true; # to send it to a builder takes longer than to check it
        }
        ''
          HOME=/homeless-shelter lockbot --config ${written} check --configuration-only >&2
          cp ${written} $out
        '';

  # For units: what `systemctl help` opens.
  documentation = cfg: [ "man:lockbot(1)" ] ++ lib.optional (cfg.package ? meta.homepage) cfg.package.meta.homepage;

  timer = {
    calendar = mkOption {
      type = types.str;
      default = "*-*-* 04:00";
      description = "When it runs, as in {manpage}`systemd.time(7)`.";
    };
    randomizedDelay = mkOption {
      type = types.str;
      default = "30min";
      description = "By how much a run may be put off, so that not all machines ask the same forge at once.";
    };
  };

  # The same for launchd.
  interval = mkOption {
    type = types.nonEmptyListOf (types.attrsOf types.int);
    default = [
      {
        Hour = 4;
        Minute = 0;
      }
    ];
    description = "When it runs on macOS, as `StartCalendarInterval` in {manpage}`launchd.plist(5)`.";
  };

  # What launchd is told, by Home Manager and by nix-darwin.
  job = cfg: log: {
    ProcessType = "Background";
    LowPriorityIO = true;
    StartCalendarInterval = cfg.timer.interval;
    ExitTimeOut = 90; # lockbot ends its children itself, in about ten seconds: launchd would not wait as long
    StandardOutPath = log;
    StandardErrorPath = log;
  };

  # -- mistakes that only the machine's configuration shows; lockbot's own check finds the others ---------------

  # `option`: where these settings are made. `homes`: whether a path may begin with `~/`. `secret`: what else to do
  # with the value of a key.
  mistakes =
    {
      option,
      settings,
      secret,
      homes ? false,
    }:
    let
      repository = settings.repository or { };
      path = repository.path or null;
    in
    [
      {
        assertion = repository ? path || repository ? url;
        message = "${option}.repository needs a `url`, or the `path` of a local repository: a service has no current directory to look in.";
      }
      {
        assertion = !(repository ? path && repository ? url);
        message = "${option}.repository has both `path` and `url`: keep one of the two.";
      }
      {
        assertion = path == null || lib.hasPrefix "/" path || (homes && lib.hasPrefix "~/" path);
        message = "${option}.repository.path must be absolute: `${toString path}` is not.";
      }
      {
        assertion = path == null || !(lib.hasPrefix builtins.storeDir path);
        message = "${option}.repository.path is in the Nix store, where nothing can be updated: name the repository itself.";
      }
      {
        assertion = !(builtins.isString (settings.eval.access_tokens or null));
        message = "${option}.eval.access_tokens would be readable for everybody in the Nix store: ${secret "eval.access_tokens"}.";
      }
    ];

  # Where nothing but a timer runs lockbot: a schedule would wait for a daemon.
  unscheduled =
    { option, settings }:
    {
      assertion = !(settings ? schedule);
      message = "${option}.schedule is for `lockbot daemon`, which does not run here: use services.lockbot.timer.";
    };
}
