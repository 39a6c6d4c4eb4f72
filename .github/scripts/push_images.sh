#!/usr/bin/env bash
# Put the images in FOLDER into the branch `reports` as NUMBER/SHA/*.png, in place of the pull request's earlier ones.
# The branch is one commit without a parent: it has at most KEPT pull requests, and what it drops is reachable no more.
set -euo pipefail
folder=$1 number=$2 sha=$3
KEPT=50
branch=reports
with_token() { bash .github/scripts/git_with_token.sh "$@"; }
export GIT_AUTHOR_NAME="github-actions[bot]" GIT_COMMITTER_NAME="github-actions[bot]"
export GIT_AUTHOR_EMAIL="41898282+github-actions[bot]@users.noreply.github.com"
export GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
[[ $sha =~ ^[0-9a-f]{40}$ && $number =~ ^[1-9][0-9]{0,8}$ ]]
entries=""
for name in calibration.png roc.png; do
  if [[ -f $folder/$name ]]; then
    entries+="100644 blob $(git hash-object -w "$folder/$name")"$'\t'"$name"$'\n'
  fi
done
if [[ -z $entries ]]; then
  echo "no images"
  exit
fi
report=$(printf '040000 tree %s\t%s\n' "$(printf %s "$entries" | git mktree)" "$sha" | git mktree)
for _ in 1 2 3 4 5; do
  others="" parent=$(with_token ls-remote --heads origin "refs/heads/$branch" | cut -f 1)
  if [[ -n $parent ]]; then
    with_token fetch --quiet --depth=1 origin "$parent"
    # folders of pull requests alone; the newest by their numbers stay
    others=$(git ls-tree "$parent" | grep --perl-regexp '^040000 tree [0-9a-f]{40}\t[1-9][0-9]{0,8}$' |
      grep --invert-match --perl-regexp "\t$number\$" | sort --key=4 --numeric-sort | tail --lines=$((KEPT - 1)) || true)
  fi
  tree=$({
    [[ -z $others ]] || echo "$others"
    printf '040000 tree %s\t%s\n' "$report" "$number"
  } | git mktree)
  commit=$(git commit-tree "$tree" -m "Show the reports of pull requests")
  # another report may have been first
  if with_token push --quiet --force-with-lease="refs/heads/$branch:$parent" origin "$commit:refs/heads/$branch"; then
    exit
  fi
  sleep 1
done
echo "error: $branch: not pushed" >&2
exit 1
