#!/usr/bin/env bash
# Fails if generating changes, adds or removes a file. It compares the tree
# before and after, so it also works with changes that are not committed yet.
# In a fresh clone that is the same as comparing with the commit.
set -euo pipefail
cd "$(dirname "$0")/.."

# tree prints a hash and a name for every file that git knows or would add.
tree() {
	local files
	files=$(git ls-files --cached --others --exclude-standard | sort -u | while IFS= read -r file; do
		[[ ! -f $file ]] || printf '%s\n' "$file"
	done)
	paste <(git hash-object --stdin-paths <<<"$files") - <<<"$files"
}

before=$(mktemp)
after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT

tree >"$before"
scripts/generate.sh
tree >"$after"
if ! diff "$before" "$after"; then
	echo "generate-check: the files above are not what their sources generate (< found, > generated);" >&2
	echo "generate-check: they are generated anew now: look at them and commit them" >&2
	exit 1
fi
