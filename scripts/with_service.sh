# Sourced, in bash: starts the debug binary in an empty folder on a free port, and ends it with the script.
# Sets `address` and `log`.
folder=$(mktemp -d)
log=$folder/log
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
address=http://localhost:$port
binary=$PWD/target/debug/aidlc-auth
(cd "$folder" && exec env HOST=127.0.0.1 PORT="$port" "$binary") > "$log" 2>&1 &
service=$!
trap 'kill "$service" 2> /dev/null || true; wait "$service" 2> /dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 200); do
    grep -q 'Application startup complete' "$log" && break
    kill -0 "$service" 2> /dev/null || break
    sleep 0.1
done
grep -q 'Application startup complete' "$log" || {
    cat "$log"
    echo "the service did not start" >&2
    exit 1
}
