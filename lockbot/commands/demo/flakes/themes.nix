{
  description = "How a desktop looks";

  outputs =
    { self }:
    {
      lib.background = "grey";
    };
}
