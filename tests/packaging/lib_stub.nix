# Stands in for nixpkgs' lib, which tests can't fetch: as much of it as the modules in nix/ use, with the module
# system's own rules as far as they matter there. A definition of an option that nobody declared is an error, unless
# there is a free-form type, and so is a value of another type. LOCKBOT_TEST_NIXPKGS names a checkout, for the real one.
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    stringLength
    substring
    ;

  optionalAttr = name: set: if set ? ${name} then [ set.${name} ] else [ ];
  unique = foldl' (seen: one: if elem one seen then seen else seen ++ [ one ]) [ ];
  isOption = value: isAttrs value && (value._type or "") == "option";
  shown = path: builtins.concatStringsSep "." path;

  # mkIf and mkMerge, resolved: the plain definitions that are left.
  plain =
    value:
    if !isAttrs value then
      [ value ]
    else if (value._type or "") == "if" then
      (if value.condition then plain value.content else [ ])
    else if (value._type or "") == "merge" then
      concatMap plain value.contents
    else
      [ value ];
  # The same for what holds options: conditions move to what is within, for they may depend on other options.
  pushed =
    value:
    if (value._type or "") == "if" then
      map (mapAttrs (_: content: { _type = "if"; inherit (value) condition; inherit content; })) (pushed value.content)
    else if (value._type or "") == "merge" then
      concatMap pushed value.contents
    else
      [ value ];
  # Of definitions with priorities, the strongest.
  strongest =
    definitions:
    let
      priority = one: if isAttrs one && (one._type or "") == "override" then one.priority else 100;
      best = foldl' (low: one: if priority one < low then priority one else low) 10000 definitions;
      chosen = filter (one: priority one == best) definitions;
    in
    map (one: if isAttrs one && (one._type or "") == "override" then one.content else one) chosen;

  # A type merges definitions: path → [definition] → value. `check` looks at one from the outside, for `either`.
  scalar = name: check: {
    inherit check name;
    merge =
      path: definitions:
      let
        values = unique definitions;
      in
      if !all check definitions then
        throw "${shown path} is no ${name}"
      else if length values != 1 then
        throw "${shown path} has ${toString (length values)} different definitions"
      else
        head values;
  };
  mergeOption = path: type: definitions: type.merge path (strongest (concatMap plain definitions));
  names = sets: unique (concatMap attrNames sets);
  attrsOf = type: {
    name = "attribute set of ${type.name}";
    check = isAttrs;
    merge =
      path: definitions:
      if !all isAttrs definitions then
        throw "${shown path} is no attribute set"
      else
        listToAttrs (
          filter (one: one != null) (
            map (
              name:
              let
                found = concatMap plain (concatMap (optionalAttr name) definitions);
              in
              if found == [ ] then
                null
              else
                {
                  inherit name;
                  value = mergeOption (path ++ [ name ]) type found;
                }
            ) (names definitions)
          )
        );
  };
  listOf = type: {
    name = "list of ${type.name}";
    check = isList;
    merge =
      path: definitions:
      if !all isList definitions then
        throw "${shown path} is no list"
      else
        map (one: mergeOption path type [ one ]) (concatLists definitions);
  };
  nonEmptyListOf = type: listOf type // { check = value: isList value && value != [ ]; };
  either = one: other: {
    name = "${one.name} or ${other.name}";
    check = value: one.check value || other.check value;
    merge =
      path: definitions:
      if all one.check definitions then
        one.merge path definitions
      else if all other.check definitions then
        other.merge path definitions
      else
        throw "${shown path} is no ${one.name} or ${other.name}";
  };
  nullOr = either (scalar "null" (value: value == null));
  oneOf = types: foldl' either (head types) (builtins.tail types);
  anything = {
    name = "anything";
    check = _: true;
    merge =
      path: definitions:
      if all isAttrs definitions && !lib.isDerivation (head definitions) then
        (attrsOf anything).merge path definitions
      else
        (scalar "single value" (_: true)).merge path definitions;
  };
  submodule = module: {
    name = "submodule";
    check = isAttrs;
    merge =
      path: definitions:
      (evalModules {
        modules = [ module ] ++ definitions;
        inherit path;
      }).config;
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      path ? [ ],
      class ? null, # of which only the real lib makes something
    }:
    let
      load =
        module:
        let
          value = if isFunction module then module (specialArgs // { inherit config lib; }) else
            if isAttrs module then module else import module (specialArgs // { inherit config lib; });
        in
        concatMap load (value.imports or [ ])
        ++ [
          {
            options = value.options or { };
            freeform = optionalAttr "freeformType" value;
            config = value.config or (removeAttrs value [ "imports" "options" "freeformType" "_file" "_class" ]);
          }
        ];
      loaded = concatMap load modules;
      build =
        path: options: definitions:
        let
          one =
            name:
            let
              declared = concatMap (optionalAttr name) options;
              found = concatMap (optionalAttr name) (concatMap pushed definitions);
              resolved = concatMap plain found;
              here = path ++ [ name ];
            in
            if !isOption (head declared) then
              build here declared found
            else if length declared != 1 then
              throw "${shown here} is declared twice"
            else if resolved == [ ] then
              (head declared).default or (throw "${shown here} is used, and has no value")
            else
              mergeOption here (head declared).type resolved;
        in
        listToAttrs (map (name: { inherit name; value = one name; }) (names options));
      # Of a definition what no option is declared for.
      undeclared =
        options: definition:
        listToAttrs (
          concatMap (
            name:
            let
              declared = concatMap (optionalAttr name) options;
              below = foldl' lib.recursiveUpdate { } (map (undeclared declared) (pushed definition.${name}));
            in
            if declared == [ ] then
              [ { inherit name; value = definition.${name}; } ]
            else if isOption (head declared) || below == { } then
              [ ]
            else
              [ { inherit name; value = below; } ]
          ) (attrNames definition)
        );
      leaf = set: let name = head (attrNames set); in [ name ] ++ (if isAttrs set.${name} && set.${name} != { } then leaf set.${name} else [ ]);
      options = map (one: one.options) loaded;
      definitions = map (one: one.config) loaded;
      freeform = concatMap (one: one.freeform) loaded;
      stray = filter (one: one != { }) (map (undeclared options) (concatMap pushed definitions));
      free = if stray == [ ] then { } else (head freeform).merge path stray;
      config =
        if freeform == [ ] && stray != [ ] then
          throw "the option ${shown (path ++ leaf (head stray))} does not exist"
        else
          lib.recursiveUpdate free (build path options definitions);
    in
    {
      inherit config;
    };

  lib = {
    inherit evalModules;
    inherit (builtins) any concatMap;
    mkOption = given: given // { _type = "option"; };
    mkEnableOption = what: lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkDefault = lib.mkOverride 1000;
    mkForce = lib.mkOverride 50;
    mkPackageOption = pkgs: name: { }: lib.mkOption {
      type = lib.types.package;
      default = pkgs.${name} or (throw "pkgs.${name} cannot be found");
      description = "The ${name} package to use.";
    };
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    literalMD = text: { _type = "literalMD"; inherit text; };
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    isDerivation = value: (value.type or "") == "derivation";
    filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
    optionalAttrs = condition: set: if condition then set else { };
    importJSON = file: builtins.fromJSON (builtins.readFile file);
    inherit (builtins) concatStringsSep;
    makeBinPath = packages: builtins.concatStringsSep ":" (map (one: "${one}/bin") packages);
    mapAttrsToList = make: set: map (name: make name set.${name}) (attrNames set);
    optional = condition: value: if condition then [ value ] else [ ];
    recursiveUpdate =
      old: new:
      old
      // mapAttrs (
        name: value:
        if isAttrs value && isAttrs (old.${name} or null) then lib.recursiveUpdate old.${name} value else value
      ) new;
    types = {
      inherit attrsOf listOf nonEmptyListOf either nullOr oneOf submodule anything;
      bool = scalar "boolean" isBool;
      str = scalar "string" isString;
      path = scalar "path" builtins.isPath;
      int = scalar "integer" builtins.isInt;
      float = scalar "floating point number" builtins.isFloat;
      number = either lib.types.int lib.types.float;
      ints.between = low: high: scalar "integer between ${toString low} and ${toString high}" (
        value: builtins.isInt value && value >= low && value <= high
      );
      enum = values: scalar "one of ${builtins.toJSON values}" (value: elem value values);
      package = scalar "package" lib.isDerivation;
    };
  };
in
lib
