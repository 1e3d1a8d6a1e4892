"""One corpus of secrets as they come in texts, and of what looks like one and is none.

`{}` stands for the secret itself. It must not know lockbot.
"""

from __future__ import annotations

CANARY = "c4n4ryT0ken7f3a9b"
"""A secret of letters and digits: anywhere but in flake.nix, flake.lock and what Nix keeps, it has leaked."""

URLS = {
    "user and password": "https://joe:{}@forge.invalid/p.git",
    "token alone": "https://{}@forge.invalid/p.git",
    "token and empty password": "https://{}:@forge.invalid/p.git",
    "token as the user": "https://{}:x-oauth-basic@github.com/o/r",
    "password with an @": "https://joe:a@{}@forge.invalid/p.git",
    "password with a #": "https://joe:a#{}@forge.invalid/p.git",
    "password with a ?": "https://joe:a?{}@forge.invalid/p.git",
    "password with a quote": "https://joe:a'{}@forge.invalid/p.git",
    "encoded in the user": "https://joe%40x.org:{}%2Fx@forge.invalid/p.git",
    "with a port": "https://joe:{}@forge.invalid:8443/p.git",
    "address in brackets": "https://joe:{}@[::1]:8443/p.git",
    "upper case": "HTTPS://JOE:{}@FORGE.INVALID/p.git",
    "git+https": "git+https://joe:{}@forge.invalid/p.git?ref=refs/heads/main&rev=0123456789012345678901234567890123456789",
    "git+https, token alone": "git+https://{}@forge.invalid/p.git?ref=main",
    "tarball+https": "tarball+https://{}@forge.invalid/p.tar.gz",
    "file+http": "file+http://joe:{}@forge.invalid/p.txt",
    "hg+https": "hg+https://joe:{}@forge.invalid/p",
    "git+ssh": "git+ssh://joe:{}@forge.invalid/p.git",
    "ssh": "ssh://joe:{}@forge.invalid/p.git",
    "ftp": "ftp://joe:{}@forge.invalid/p.tar.gz",
    "like scp": "joe:{}@forge.invalid:p.git",
    "proxy": "http_proxy=http://joe:{}@proxy.invalid:3128",
    "?token=": "https://forge.invalid/p.tar.gz?token={}",
    "&token=": "https://forge.invalid/p.tar.gz?ref=main&token={}&narHash=sha256-x",
    "?access_token=": "https://forge.invalid/p.tar.gz?access_token={}",
    "?private_token=": "https://forge.invalid/p.tar.gz?private_token={}&sha=main",
    "?job_token=": "https://forge.invalid/p.tar.gz?job_token={}",
    "?sig=": "https://blob.invalid/p.tar.gz?sv=2024&sig={}%3D",
    "X-Amz": "https://s3.invalid/p?X-Amz-Date=2026&X-Amz-Credential={}%2F2026&X-Amz-Security-Token={}&X-Amz-Signature={}",
    "X-Goog": "https://gcs.invalid/p?X-Goog-Date=2026&X-Goog-Credential={}&X-Goog-Signature={}",
    "CloudFront": "https://cdn.invalid/p?Expires=1&Signature={}&Key-Pair-Id=K1",
    "?key=": "https://forge.invalid/p.tar.gz?key={}",
    "?apikey=": "https://forge.invalid/p.tar.gz?apikey={}",
    "?api_key=": "https://forge.invalid/p.tar.gz?api_key={}",
    "?password=": "https://forge.invalid/p.tar.gz?password={}",
    "?secret=": "https://forge.invalid/p.tar.gz?client_secret={}",
    "?auth=": "https://forge.invalid/p.tar.gz?auth={}",
    "camel case": "https://forge.invalid/p.tar.gz?accessToken={}&apiKey={}",
    "encoded name": "https://forge.invalid/p.tar.gz?access%5Ftoken={}",
    "encoded value": "https://forge.invalid/p.tar.gz?token=%20{}%26{}",
    "base64": "https://forge.invalid/p.tar.gz?token=ab+/{}==",
    "in the fragment": "https://forge.invalid/#access_token={}",
    "within a URL": "https://cache.invalid/?url=https%3A%2F%2Fjoe%3A{}%40forge.invalid%2Fp%3Ftoken%3D{}%26ref%3Dmain",
    "within a URL, token alone": "https://cache.invalid/?url=https%3A%2F%2F{}%40forge.invalid%2Fp",
    "within a URL, half encoded": "https://cache.invalid/?url=https:%2F%2Fjoe%3A{}%40forge.invalid%2Fp",
    "within a URL, slashes alone": "https://cache.invalid/?url=https:%2F%2Fjoe:{}@forge.invalid%2Fp",
    "encoded twice": "https://cache.invalid/?u=https%253A%252F%252Fjoe%253A{}%2540h%252Fp%253Ftoken%253D{}",
    "JSON": r"https:\/\/joe:{}@forge.invalid\/p?ref=main\u0026token={}\u0026dir=x",
    "JSON, all escaped": r"https:\/\/joe:{}\u0040forge.invalid\/p?token\u003d{}",
    "HTML": "https://forge.invalid/p?ref=main&amp;token={}&amp;dir=x",
}
"""As they stand in flake.nix, in messages, or within another text."""

WORDS = {
    "Authorization: Bearer": "Authorization: Bearer {}",
    "Authorization: Basic": "> authorization: basic {}==",
    "Authorization: token": 'curl -H "Authorization: token {}" https://forge.invalid',
    "Authorization": "Proxy-Authorization: {}",
    "PRIVATE-TOKEN": "PRIVATE-TOKEN: {}",
    "X-Api-Key": "'X-Api-Key: {}'",
    "cookie": "Cookie: theme=dark; session={}",
    "header in JSON": r"{\"Authorization\": \"Bearer {}\"}",
    "access-tokens": "access-tokens = github.com={} gitlab.com=PAT:{}",
    "access-tokens option": "nix --option access-tokens 'github.com/o={}'",
    "environment": "FORGE_TOKEN={}",
    "option": "--password={} --url=x",
    "JSON member": '{"access_token":"{}","expires":3600}',
    "escaped JSON member": r"{\"password\": \"{}\"}",
    "Nix": 'password = "{}";',
    "netrc": "machine forge.invalid login joe password {}",
    "GitHub": "ghp_{}",
    "GitHub, fine-grained": "github_pat_{}_{}",
    "GitHub app": "remote: ghs_{}.",
    "GitLab": "glpat-{}",
    "Slack": "xoxb-{}",
}
"""As they stand in logs."""

HARMLESS = (
    "github:NixOS/nixpkgs/nixos-unstable?narHash=sha256-47DEQpj8HBSa%2B/TImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D",
    "git+https://forge.invalid/p.git?ref=main&rev=0123456789012345678901234567890123456789&dir=sub/dir&submodules=1",
    "git+ssh://git@github.com/o/r?shallow=1",
    "ssh://git@[::1]:22/x",
    "git@github.com:o/r.git",
    "file:///srv/a@b/p.tar.gz",
    "path:/srv/x?lastModified=1&narHash=sha256-x",
    "https://forge.invalid:8443/p.tar.gz?user=a@b",
    "https://forge.invalid?user=a@b.org",
    "https://forge.invalid?user=a%40b.org",
    "https://forge.invalid/p?user=a%40b.org&path=a%2F%2Fb",
    "git+https://h/x?keytype=ssh-ed25519&publicKey=AAAAC3Nz&verifyCommit=1",
    "git+https://h/x?publicKeys=%5B%7B%22key%22:%22AAAAC3Nz%22%7D%5D",
    "Co-authored-by: A Person <person@example.org>, see mailto:person@example.org",
    "fatal: could not read Username for 'https://forge.invalid': terminal prompts disabled",
    "git@forge.invalid: Permission denied (publickey).",
    "ED25519 key fingerprint is SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU.",
    "image nginx:1.25@sha256:47deqpj8hbsa",
    "error: syntax error, unexpected token: '}', expecting ';'",
    "the option `services.x.passwordFile' is used but not defined",
    'passwordFile = "/run/secrets/password";',
    "curl --token=$TOKEN ${secret}",
    "connect(password=None, token=null)",
    "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-keycloak-token-26.1.drv",
    "the key is too short, and so is the author=x",
    "nothing at all",
    "",
)


def holding(template: str, secret: str = CANARY) -> str:
    return template.replace("{}", secret)
