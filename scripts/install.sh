#!/usr/bin/env bash
# Makes .venv from the pinned lock. Installs what Debian lacks for that by apt when it may, else says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

python=""
for candidate in python3.11 python3.12 python3.13 python3; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || { echo "Python 3.11, 3.12 or 3.13 is needed and not found. On Debian 12: apt-get install python3 python3-venv" >&2; exit 2; }

apt_install() {
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
    sudo="sudo -n"
  fi
  command -v apt-get >/dev/null || return 1
  $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if [ ! -x .venv/bin/pip ]; then
  echo "Creating .venv with $("$python" --version)"
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    rm -rf .venv
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "Installing Debian's $version"
    apt_install "$version" || { echo "Python's venv module is missing. Install it and run again: apt-get install $version" >&2; exit 2; }
    "$python" -m venv .venv
  fi
fi

if ! "$python" -c 'import ctypes; ctypes.CDLL("libodbc.so.2")' 2>/dev/null; then
  echo "Installing unixODBC, by which SQL Server is reached"
  apt_install unixodbc || echo "unixODBC is missing, so SQL Server cannot be reached (the demo can do without): apt-get install unixodbc" >&2
fi

echo "Installing the pinned packages (a minute or two the first time)"
.venv/bin/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch .venv/installed
