"""What GitLab's own hooks do with a push: they refuse it, note its options, and print the request's page.

The texts are GitLab's (lib/gitlab/internal_post_receive/response.rb, app/services/post_receive_service.rb).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_REFUSING = """\
#!/bin/sh
if grep -qxF -e "$REMOTE_USER" "$GIT_DIR/gitlab/denied"; then
  echo "GitLab: You are not allowed to push code to this project." >&2
  exit 1
fi
exit 0
"""

_TELLING = r"""#!/bin/sh
state=$GIT_DIR/gitlab
page=$(cat "$state/page")
noted=$state/pushes/$$
echo "user $REMOTE_USER" > "$noted.part"
asked= created= target= i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "value=\$GIT_PUSH_OPTION_$i"
  printf 'option %s\n' "$value" >> "$noted.part"
  asked="$asked '$value'"
  case $value in
    merge_request.create) created=yes ;;
    merge_request.target=*) target=${value#merge_request.target=} ;;
  esac
  i=$((i + 1))
done
wrong() {
  printf '\n========================================\n\nWARNINGS:\n'
  printf 'Error encountered with push options%s: %s\n' "$asked" "$1"
  printf '\n========================================\n\n'
}
while read -r _ new ref; do
  case $ref in
    refs/heads/main) continue ;;
    refs/heads/*) branch=${ref#refs/heads/} ;;
    *) continue ;;
  esac
  case $new in *[!0]*) ;; *) continue ;; esac
  printf 'branch %s\n' "$branch" >> "$noted.part"
  number=$(awk -v branch="$branch" '$2 == branch { print $1 }' "$state/open")
  if [ -n "$target" ] && ! git rev-parse --verify --quiet "refs/heads/$target" > /dev/null; then
    wrong "Target branch $(cat "$state/name"):$target does not exist"
  elif [ -z "$number" ] && [ -n "$created" ]; then
    number=$(cat "$state/next")
  elif [ -z "$number" ] && [ -n "$asked" ]; then
    wrong "A merge_request.create push option is required to create a merge request for branch $branch"
  fi
  if [ -n "$number" ]; then
    printf '\nView merge request for %s:\n  %s/%s\n\n' "$branch" "$page" "$number"
  else
    quoted=$(printf '%s' "$branch" | sed 's,/,%2F,g')
    printf '\nTo create a merge request for %s, visit:\n' "$branch"
    printf '  %s/new?merge_request%%5Bsource_branch%%5D=%s\n\n' "$page" "$quoted"
  fi
done
mv "$noted.part" "$noted"
"""


@dataclass(frozen=True)
class Push:
    user: str
    branches: Sequence[str]
    options: Sequence[tuple[str, str]]


def set_up(repository: Path) -> None:
    (repository / "gitlab/pushes").mkdir(parents=True)
    for name, text in (("pre-receive", _REFUSING), ("post-receive", _TELLING)):
        hook = repository / "hooks" / name
        hook.write_text(text)
        hook.chmod(0o755)


def tell_hooks(
    repository: Path, *, page: str, next_number: int, open_requests: Mapping[str, int], denied: Sequence[str]
) -> None:
    state = repository / "gitlab"
    (state / "page").write_text(page)
    (state / "name").write_text(repository.name.removesuffix(".git"))
    (state / "next").write_text(str(next_number))
    (state / "open").write_text("".join(f"{number} {branch}\n" for branch, number in open_requests.items()))
    (state / "denied").write_text("".join(f"{user}\n" for user in denied))


def read_pushes(repository: Path) -> list[Push]:
    """Those that nobody has read."""
    return [_read(noted) for noted in sorted((repository / "gitlab/pushes").glob("*[0-9]"))]


def _read(noted: Path) -> Push:
    lines = [line.partition(" ") for line in noted.read_text().splitlines()]
    noted.unlink()
    (user,) = [value for what, _, value in lines if what == "user"]
    options = [value.partition("=") for what, _, value in lines if what == "option"]
    return Push(
        user,
        [value for what, _, value in lines if what == "branch"],
        [(key.strip(), value.strip()) for key, _, value in options],
    )
