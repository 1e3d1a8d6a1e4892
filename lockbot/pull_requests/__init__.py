"""Pull requests that ask to take what was judged: what each says, when it is opened, changed,
closed, and landed."""
