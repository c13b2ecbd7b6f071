#!/usr/bin/env bash
# Runs every test, on a Debian or Ubuntu machine that has Rust and a C compiler: installs what else
# is missing, and ends with 0 only if every test of every step passed. PostgreSQL and Redis are started
# by the tests themselves, on free ports; a server that happens to run is left alone.
#
# Usage: scripts/test.sh. KILL_ROUNDS=500 makes the kill -9 test longer.
set -euo pipefail
cd "$(dirname "$0")/.."

summaries=()
step=start
trap 'code=$?; servers_may_start; ((code == 0)) || echo "✗ failed: $step" >&2' EXIT

# Debian starts a server when it installs one; a policy forbids that for the moment.
as_root=()
[[ $(id -u) == 0 ]] || as_root=(sudo)
policy=''
no_server_starts() {
    [[ ! -e /usr/sbin/policy-rc.d ]] || return 0
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
}
servers_may_start() {
    [[ -z $policy ]] || "${as_root[@]}" rm -f "$policy"
    policy=''
}

# begins NAME, and ended: what a step is called and how long it took.
begins() {
    step=$1
    began=$SECONDS
    printf '\n━━ %s\n' "$step"
}
ended() {
    summaries+=("$(printf '%5d s  %s' "$((SECONDS - began))" "$step${1:+: $1}")")
}

begins 'what the machine needs'
for tool in cargo cc; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust and gcc" >&2; exit 1; }
done
packages=()
command -v curl >/dev/null || packages+=(curl ca-certificates)
command -v python3 >/dev/null || packages+=(python3)
# Debian splits venv off Python; what it lacks there is this module.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
command -v redis-server >/dev/null || packages+=(redis-server)
if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    packages+=(postgresql)
fi
# Debian keeps it where only root's shell looks.
[[ -x /usr/sbin/pgbouncer ]] || command -v pgbouncer >/dev/null || packages+=(pgbouncer)
if ((${#packages[@]})); then
    echo "installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    no_server_starts
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    servers_may_start
else
    echo 'nothing is missing'
fi
ended

# A snapshot that differs fails; it is not written beside the old one.
export INSTA_UPDATE=no
log=target/test.log
mkdir -p target
# tests NAME ARGUMENT…: some of the tests, with servers around them that they share.
tests() {
    begins "$1"
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        "$servers" cargo nextest run --locked --no-fail-fast "$@" 2>&1 | tee -a "$log"
        counts=$(grep -E '^ +Summary \[' "$log" | tail -n 1 | sed 's/^ *//')
    else
        # Runs the same tests, one binary after the other; building nextest would take longer than it saves.
        [[ $* == --test* ]] || set -- --lib --bins --tests "$@"
        "$servers" cargo test --locked --no-fail-fast "$@" 2>&1 | tee -a "$log"
        counts=$(awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " passed, " failed " failed so far" }' "$log")
    fi
    ended "$counts"
}
: >"$log"
begins 'servers for the tests'
cargo build --locked --example with_servers
servers=target/debug/examples/with_servers
ended
tests 'unit and integration tests'
# The stories again, with everything in PostgreSQL and Redis.
TEST_STORES=servers tests 'the stories on servers' --test it -- --skip promises::

begins 'examples in the documentation'
cargo test --locked --doc
ended

for script in readme_tour docs_page schemathesis; do
    begins "scripts/$script.sh"
    "scripts/$script.sh"
    ended
done

printf '\n━━ all passed\n'
printf '%s\n' "${summaries[@]}"
