#!/usr/bin/env bash
# Makes the Python environment of the oracles at LINK. The environment itself lies in the user's cache, where all
# checkouts with the same requirements share it: it takes minutes and gigabytes.
#
#   scripts/oracles.sh LINK
set -euo pipefail
link=$1
cd "$(dirname "$0")/.."
requirements=Tests/Oracles/requirements
version=$({ python3 -V; cat $requirements.txt $requirements-no-deps.txt; } | sha256sum | cut -c1-12)
environment=${XDG_CACHE_HOME:-${HOME:-$PWD}/.cache}/tessera/oracles-$version
mkdir -p "$(dirname "$environment")" "$(dirname "$link")"

exec 9>"$environment.lock"
flock 9
if [ ! -e "$environment/.complete" ]; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  # Modules are compiled when they are first imported; most never are.
  install=("$environment/bin/pip" install -q --disable-pip-version-check --no-compile)
  "${install[@]}" -r $requirements.txt
  "${install[@]}" --no-deps -r $requirements-no-deps.txt
  touch "$environment/.complete"
fi
# An environment of its own, of before.
if [ ! -L "$link" ] && [ -e "$link/pyvenv.cfg" ]; then rm -rf "$link"; fi
ln -sfn "$environment" "$link"
# Requirements that were checked out later are no other ones.
touch "$environment/.complete"
