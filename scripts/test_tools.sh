#!/usr/bin/env bash
# What the tests need from the system: a real Chromium for the page, bubblewrap for isolation.
# Installs them when run as root on Debian or Ubuntu, else names the command.
set -euo pipefail
venv=$1

install() { # PACKAGE
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "setup: installing system package $1"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null 2>&1
}

has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! has_browser >/dev/null && ! install chromium; then
  "$venv/bin/python" -m playwright install chromium || {
    echo "setup: the page tests need Chromium. Run: sudo apt-get install -y chromium" >&2
    exit 4
  }
fi
if ! command -v bwrap >/dev/null && ! install bubblewrap; then
  echo "setup: tests of isolation need bubblewrap. Run: sudo apt-get install -y bubblewrap" >&2
  exit 4
fi
