#!/usr/bin/env bash
# Makes the calls of README.md and README.ko.md, word for word, against a service of its own, and checks the answers.
# Only what a reader fills in is filled in: the port, the code from the log, the token from the answer.
set -euo pipefail
cd "$(dirname "$0")/.."

statuses=(202 201 202 200 200 204)
cargo build --locked --quiet --bin aidlc-auth

tour() {
    settings=()
    # shellcheck source=scripts/with_service.sh
    source scripts/with_service.sh
    local calls=() call code token='' answer status number=0
    mapfile -t calls < <(awk '/^```bash$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$1")
    [[ ${#calls[@]} == "${#statuses[@]}" ]] || { echo "$1 has ${#calls[@]} calls, not ${#statuses[@]}" >&2; exit 1; }
    for call in "${calls[@]}"; do
        code=$(codes | tail -n 1)
        call=${call//http:\/\/localhost:8001/$address}
        call=${call//123456/$code}
        call=${call//TOKEN/$token}
        answer=$(bash -c "$call -sS -w '\n%{http_code}'")
        status=${answer##*$'\n'}
        if [[ $status != "${statuses[number]}" ]]; then
            printf '%s\n%s\n' "$call" "$answer" >&2
            exit 1
        fi
        if [[ $answer =~ \"session_token\":\"([^\"]+)\" ]]; then token=${BASH_REMATCH[1]}; fi
        number=$((number + 1))
        # A mail is on its way when its request is answered; it is in the log a moment later.
        if [[ $status == 202 ]]; then await_code "$number"; fi
    done
    echo "$1: $number calls, answered as it says"
}

codes() {
    sed -n 's/.*이메일 발송 시뮬레이션.* code=\([0-9]\{6\}\) .*/\1/p' "$log"
}

# The first mail answers the first call, the second the third.
await_code() {
    local due=$((($1 + 1) / 2))
    for _ in $(seq 100); do
        [[ $(codes | wc -l) -ge $due ]] && return
        sleep 0.05
    done
    echo "no mail in the log" >&2
    exit 1
}

for readme in README.md README.ko.md; do
    (tour "$readme")
done
