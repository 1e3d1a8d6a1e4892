"""What forges make links of, though nobody has written one: in bodies, comments and titles alike."""

from __future__ import annotations

import re

FORGE_LINKS = re.compile(
    r"""[@#!%&~$^*\[][\w"*\[] | :// | :[\w+-]+: | (?i:www\.) | (?i:GH-\d) | [A-Z][A-Z0-9_]*-\d | [\w.-]>""",
    re.VERBOSE,
)
"""Found in text that is rendered: mentions, references, addresses, emoji."""

LINKED = (
    "@everyone",
    "org/repo#12, #12!",
    "group/project!12",
    "a&1 %v1 ~bug $1 ^alert#1 *iteration:1",
    "[vulnerability:1]",
    "[[https://evil.example|click]]",
    "group/project>",
    "closes https://forge.example/a/b/issues/12",
    "gh-7 GH-7 ABC-12 A1-2",
    "www.evil.example WWW.evil.example _www.evil.example_",
    ":tada: :+1:",
    "me@evil.example",
    "Draft: x",
    "wip",
    "[WIP] x",
    "&#64;everyone &commat;everyone",
)
