#!/usr/bin/env bash
# Chromium (Debian's, which has H.264) and the pinned playwright-core beside this script. Prints nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")"
apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"; }

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
if ((${#missing[@]})); then
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    printf 'The browser checks need %s: apt-get install --no-install-recommends %s\n' "${missing[*]}" "${missing[*]}" >&2
    exit 1
  fi
  apt install -y --no-install-recommends "${missing[@]}" >/dev/null || { apt update >/dev/null && apt install -y --no-install-recommends "${missing[@]}" >/dev/null; }
fi
wanted=$(node -p 'require("./package.json").dependencies["playwright-core"]')
[[ $(node -p 'require("./node_modules/playwright-core/package.json").version' 2>/dev/null) == "$wanted" ]] ||
  npm install --no-audit --no-fund --no-package-lock --ignore-scripts --silent
