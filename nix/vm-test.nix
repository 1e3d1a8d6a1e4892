# A machine that keeps a flake up to date: the timer's unit makes a run, and the daemon starts and stops. Its host is
# a derivation that needs nothing but the sandbox's shell, so that nothing is fetched.
{ testers, module }:
testers.runNixOSTest {
  name = "lockbot";

  nodes.timer =
    { pkgs, ... }:
    {
      imports = [ module ];
      environment.systemPackages = [ pkgs.git ];
      services.lockbot = {
        enable = true;
        timer.enable = true;
        settings = {
          repository.path = "/srv/flake";
          hosts.attributes = [ "packages.${pkgs.stdenv.hostPlatform.system}.host" ];
          state.min_free = "0";
        };
      };
    };

  nodes.daemon = {
    imports = [ module ];
    services.lockbot = {
      enable = true;
      settings = {
        repository.url = "file:///srv/none.git";
        schedule.when = "0 4 * * *";
      };
    };
  };

  testScript = ''
    import shlex

    flake = """
    {
      inputs.upstream = { url = "git+file:///srv/upstream"; flake = false; };
      outputs = { upstream, ... }: {
        packages.SYSTEM.host = derivation {
          name = "host";
          system = "SYSTEM";
          builder = "/bin/sh";
          args = [ "-c" "read line < ''${upstream}/version; echo $line > $out" ];
        };
      };
    }
    """

    def lockbot(command: str) -> str:
        """In a shell of the user lockbot's."""
        whole = f"runuser -u lockbot -- env HOME=/var/lib/lockbot sh -euc {shlex.quote(command)}"
        return timer.succeed(whole)

    with subtest("a flake, and an upstream that has moved"):
        timer.wait_for_unit("multi-user.target")
        timer.succeed("install -d -o lockbot -g lockbot /srv/flake /srv/upstream /var/lib/lockbot")
        lockbot("git config --global user.name t && git config --global user.email t@example.org")
        lockbot("cd /srv/upstream && git init -q -b main && echo 1 > version && git add . && git commit -qm one")
        nix = "nix --extra-experimental-features 'nix-command flakes'"
        system = timer.succeed(f"{nix} eval --impure --raw --expr builtins.currentSystem")
        timer.succeed(f"printf %s {shlex.quote(flake.replace('SYSTEM', system))} > /srv/flake/flake.nix")
        lockbot(f"cd /srv/flake && git init -q -b main && git add . && {nix} flake lock && git add .")
        lockbot("cd /srv/flake && git commit -qm one")
        lockbot("cd /srv/upstream && echo 2 > version && git commit -qam two")

    with subtest("the timer's unit makes a run that lands"):
        timer.succeed("systemctl start lockbot-update.service")
        log = lockbot("cd /srv/flake && git log -1 --format=%an:%s")
        assert log.strip() == "lockbot:flake.lock: update upstream", log
        timer.succeed("systemctl is-active lockbot-update.timer")
        lockbot("lockbot --config /etc/lockbot/lockbot.toml healthcheck")
        lockbot("lockbot --config /etc/lockbot/lockbot.toml metrics | grep -q ^lockbot_info")

    with subtest("it is confined"):
        timer.succeed("systemd-analyze security --threshold=11 lockbot-update.service")

    with subtest("the daemon starts, reloads and stops"):
        daemon.wait_for_unit("lockbot.service")
        daemon.succeed("systemctl reload lockbot.service")
        daemon.succeed("systemctl stop lockbot.service")
  '';
}
