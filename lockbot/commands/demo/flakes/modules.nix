{
  description = "How a host is put together, as NixOS's modules do it";

  outputs =
    { self }:
    {
      lib.host = system: name: parts: {
        config.system.build.toplevel = derivation {
          name = "nixos-system-${name}";
          inherit system parts;
          builder = "/bin/sh";
          args = [
            "-c"
            ''echo "$parts" >"$out"''
          ];
        };
      };
    };
}
