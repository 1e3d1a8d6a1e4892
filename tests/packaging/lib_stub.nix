# Stands in for nixpkgs' lib, which tests can't fetch: as much of it as nix/nixos.nix uses, with the module system's
# own rules as far as they matter there. A definition of an option that nobody declared is an error, and so is a value
# of another type. LOCKBOT_TEST_NIXPKGS names a checkout, for the real one.
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

  # A type merges definitions: path → [definition] → value.
  scalar = name: check: {
    merge =
      path: definitions:
      let
        values = unique definitions;
      in
      if length values != 1 then
        throw "${shown path} has ${toString (length values)} different definitions"
      else if !check (head values) then
        throw "${shown path} is no ${name}"
      else
        head values;
  };
  mergeOption = path: type: definitions: type.merge path (strongest (concatMap plain definitions));
  names = sets: unique (concatMap attrNames sets);
  attrsOf = type: {
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
    merge =
      path: definitions:
      if !all isList definitions then
        throw "${shown path} is no list"
      else
        map (one: mergeOption path type [ one ]) (concatLists definitions);
  };
  anything = {
    merge =
      path: definitions:
      if all isAttrs definitions && !lib.isDerivation (head definitions) then
        (attrsOf anything).merge path definitions
      else
        (scalar "single value" (_: true)).merge path definitions;
  };
  submodule = module: {
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
            config = value.config or (removeAttrs value [ "imports" "options" "_file" ]);
          }
        ];
      loaded = concatMap load modules;
      build =
        path: options: definitions:
        let
          known = names options;
          given = concatMap pushed definitions;
          stray = filter (name: !(elem name known)) (names given);
          one =
            name:
            let
              declared = concatMap (optionalAttr name) options;
              found = concatMap (optionalAttr name) given;
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
        if stray != [ ] then
          throw "the option ${shown (path ++ [ (head stray) ])} does not exist"
        else
          listToAttrs (map (name: { inherit name; value = one name; }) known);
      config = build path (map (one: one.options) loaded) (map (one: one.config) loaded);
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
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    isDerivation = value: (value.type or "") == "derivation";
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
      inherit attrsOf listOf submodule anything;
      bool = scalar "boolean" isBool;
      str = scalar "string" isString;
      package = scalar "package" lib.isDerivation;
    };
  };
in
lib
