{
  description = "Four hosts";

  inputs = {
    packages.url = "@packages@";
    modules.url = "@modules@";
    themes.url = "@themes@";
  };

  outputs =
    {
      self,
      packages,
      modules,
      themes,
    }:
    let
      host = modules.lib.host "@system@";
      programs = packages.lib.programs "@system@";
    in
    {
      nixosConfigurations = {
        desk = host "desk" [
          programs.editor
          themes.lib.background
        ];
        laptop = host "laptop" [
          programs.editor
          themes.lib.background
        ];
        mail = host "mail" [ programs.mailserver ];
        web = host "web" [ programs.webserver ];
      };
    };
}
