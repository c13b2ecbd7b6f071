#!/usr/bin/env bash
# Looks at the API page in Chromium (scripts/docs_page.mjs), against a service of its own in an empty folder.
# Installs what is missing: Debian's chromium, Node, and playwright-core under target/.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v node > /dev/null || missing+=(nodejs npm)
command -v "${CHROMIUM:-chromium}" > /dev/null || missing+=(chromium)
if ((${#missing[@]})); then
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
browser=target/browser
mkdir -p "$browser"
if [[ ! -d $browser/node_modules/playwright-core ]]; then
    npm install --prefix "$browser" --no-save --no-audit --no-fund --silent playwright-core@1.65.1
fi
cp scripts/docs_page.mjs "$browser/"

cargo build --locked --quiet --bin aidlc-auth
settings=()
# shellcheck source=scripts/with_service.sh
source scripts/with_service.sh
CHROMIUM=$(command -v "${CHROMIUM:-chromium}") node "$browser/docs_page.mjs" "$address" "$PWD/target/docs-page.png"
