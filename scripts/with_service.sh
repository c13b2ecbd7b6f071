# shellcheck shell=bash
# Sourced, in bash: starts the debug binary in an empty folder on a free port, and ends it with the script.
# Settings go into `settings`, as NAME=VALUE. Sets `folder`, `log` and `address`.
folder=$(mktemp -d)
log=$folder/log
binary=$PWD/target/debug/aidlc-auth
# shellcheck disable=SC2154 # the script that sources this sets them
(cd "$folder" && exec env HOST=127.0.0.1 PORT=0 "${settings[@]}" "$binary") > "$log" 2>&1 &
service=$!
trap 'kill "$service" 2> /dev/null || true; wait "$service" 2> /dev/null || true; rm -rf "$folder"' EXIT

# waits_for PATTERN: the first match in the log, within 30 seconds.
waits_for() {
    for _ in $(seq 300); do
        if grep -m 1 -oP -- "$1" "$log"; then return; fi
        kill -0 "$service" || break
        sleep 0.1
    done
    echo "the log never had $1:" >&2
    cat "$log" >&2
    return 1
}

# shellcheck disable=SC2034 # used by that script
address=http://localhost:$(waits_for 'listening address=127\.0\.0\.1:\K[0-9]+')
