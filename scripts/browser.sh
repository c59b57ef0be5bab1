#!/usr/bin/env bash
# The page tests drive a real Chromium. Uses the system's, installs it when root, else asks
# Playwright for its own.
set -euo pipefail
venv=$1
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1 && exit 0
fi
"$venv/bin/python" -m playwright install chromium && exit 0
echo "setup: the page tests need Chromium. Run: sudo apt-get install -y chromium" >&2
exit 4
