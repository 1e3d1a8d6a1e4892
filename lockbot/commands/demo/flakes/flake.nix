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
      machine = {
        system = "@system@";
        path = "@path@";
      };
      host = modules.lib.host machine;
      programs = packages.lib.programs machine;
      desktop = {
        kernel = programs.linux;
        packages = [ programs.editor ];
        background = themes.lib.background;
      };
      server = program: {
        kernel = programs.linux-lts;
        packages = [ program ];
        service = program;
      };
    in
    {
      nixosConfigurations = {
        desk = host "desk" desktop;
        laptop = host "laptop" desktop;
        mail = host "mail" (server programs.mailserver);
        web = host "web" (server programs.webserver);
      };
    };
}
