#!/bin/sh
# Sets up a virtual environment once, then runs the tests, or the client with the arguments given:
#   run.sh                                                   check vectors and client; with HOLDFAST=<the binary> set,
#                                                            against a devnet, too
#   run.sh transfer --rpc URL --secret HEX --from A --to B --amount N
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/python-client
export PYTHONDONTWRITEBYTECODE=1

# A stamp of the requirements that were installed; another one means another environment.
if ! cmp -s "$here/requirements.txt" "$cache/installed.txt"; then
  rm -rf "$cache"
  if ! python3 -m venv "$cache"; then
    echo "run.sh: python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2
    exit 1
  fi
  "$cache/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$cache/installed.txt"
fi

if [ $# -eq 0 ]; then
  cd "$here"
  exec "$cache/bin/python" -m unittest test_vectors test_client ${HOLDFAST:+test_devnet}
fi
exec "$cache/bin/python" "$here/client.py" "$@"
