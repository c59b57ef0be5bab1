#!/usr/bin/env bash
# Makes or updates the virtual environment. Usage: scripts/setup.sh VENV EXTRAS
# Checks what it needs from the system first; installs it when run as root on Debian or Ubuntu,
# else names the exact command.
set -euo pipefail
venv=$1 extras=$2
here=$(cd "$(dirname "$0")/.." && pwd)

need_packages() { # PACKAGE...
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing system packages: $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
  else
    echo "setup: this machine lacks what Blender needs. Run:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y $*" >&2
    exit 4
  fi
}

python=${PYTHON:-}
for candidate in "$python" python3.11 python3; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
  "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && python=$candidate && break
  python=
done
if [ -z "$python" ]; then need_packages python3.11 python3.11-venv; python=python3.11; fi
"$python" -c 'import ensurepip' 2>/dev/null || need_packages python3.11-venv

# The shared libraries that the bpy wheel links to, and the packages that hold them.
missing=()
while read -r library package; do
  /sbin/ldconfig -p | grep -q "$library" || missing+=("$package")
done <"$here/renderer/blender/libraries.txt"
[ ${#missing[@]} -eq 0 ] || need_packages "${missing[@]}"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)

bash "$here/scripts/install_torch.sh" "$venv/bin/python" "$here/constraints.txt"

echo "setup: installing recombine[$extras] at the locked versions"
"${pip[@]}" install -q -c "$here/constraints.txt" -e "$here[$extras]"
