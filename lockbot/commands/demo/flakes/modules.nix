{
  description = "How a host is put together, as NixOS's modules do it";

  outputs =
    { self }:
    {
      lib.host =
        { system, path }:
        name:
        {
          kernel,
          packages,
          service ? null,
          background ? null,
        }:
        let
          build =
            name: attributes: script:
            derivation (
              {
                inherit name system;
                builder = "/bin/sh";
                PATH = path;
                args = [
                  "-c"
                  script
                ];
              }
              // attributes
            );
          each = command: paths: builtins.concatStringsSep "\n" (map command paths);
          systemPath = build "system-path" { } ''
            mkdir -p "$out/bin"
            ${each (package: "ln -s '${package}'/bin/* \"$out/bin/\"") packages}
          '';
          unit = build "unit-${service.name}.service" { inherit service; } ''
            mkdir "$out"
            printf '[Service]\nExecStart=%s\n' "$service/bin/${service.pname}" >"$out/${service.pname}.service"
          '';
          etc = build "etc" { } ''
            mkdir -p "$out/etc/systemd/system/multi-user.target.wants"
            ${each (place: "ln -s '${unit}'/* \"$out/etc/systemd/system/${place}\"") (
              if service == null then
                [ ]
              else
                [
                  ""
                  "multi-user.target.wants"
                ]
            )}
            ${if background == null then "" else "echo ${background} >\"$out/etc/background\""}
          '';
          accounts = builtins.toFile "users-groups.json" (builtins.toJSON {
            users = [ { name = "you"; } ];
            groups = [ { name = "you"; } ];
          });
        in
        {
          config.system.build.toplevel =
            build "nixos-system-${name}-25.11" { inherit kernel systemPath etc; }
              ''
                mkdir "$out"
                ln -s "$kernel/bzImage" "$out/kernel"
                ln -s "$systemPath" "$out/sw"
                ln -s "$etc/etc" "$out/etc"
                echo 25.11 >"$out/nixos-version"
                echo "update-users-groups ${accounts}" >"$out/activate"
              '';
        };
    };
}
