#!/usr/bin/env bash
# Holds the running service to its own description (/openapi.json) with Schemathesis: generated
# requests, right and wrong ones, from a stranger and from someone signed in.
#
# Usage: scripts/schemathesis.sh. Needs python3 with venv and curl. Ends what it started.
# SCHEMATHESIS_EXAMPLES (default 40) and SCHEMATHESIS_SEED (default 1) make it longer or different.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
examples=${SCHEMATHESIS_EXAMPLES:-40}
seed=${SCHEMATHESIS_SEED:-1}

# Absolute, because it runs in a folder of its own: it leaves its examples where it runs.
venv=$PWD/target/schemathesis
rules=$PWD/scripts/schemathesis.toml
if ! "$venv/bin/st" --version 2>/dev/null | grep -qF "$version"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi
cargo build --locked --quiet
# Limits are off, because every generated request comes from one address and at once. The topic lets
# there be what SES reports to.
settings=(LIMITS_ENABLED=false SES_TOPIC_ARN=arn:aws:sns:us-east-1:123456789012:mail)
# shellcheck source=scripts/with_service.sh
source scripts/with_service.sh

post() {
    curl -sS --fail-with-body -X POST "$address/api/auth/$1" -H 'Content-Type: application/json' -d "$2"
}

# sign_up NAME: a new account's session token.
sign_up() {
    local email=$1@example.com code
    post register "{\"email\": \"$email\", \"password\": \"pass123\", \"full_name\": \"Test User\"}" >"$folder/asked"
    code=$(waits_for "to=$email .* code=\\K[0-9]{6}")
    post verify-registration "{\"email\": \"$email\", \"verification_code\": \"$code\"}" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["session_token"])'
}

# run NAME OPTION...: one run over the description.
run() {
    echo "── schemathesis: $1"
    shift
    # Without the stateful phase: what follows from an answer here needs the mailed code.
    (cd "$folder" && "$venv/bin/st" --config-file "$rules" run "$address/openapi.json" \
        --no-color --seed "$seed" --max-examples "$examples" \
        --phases examples,coverage,fuzzing --continue-on-failure \
        --generation-database none --request-timeout 10 --warnings off "$@")
}

bearer() {
    echo "Authorization: Bearer $(sign_up "$1")"
}

ends_its_session='^/api/auth/(logout|refresh-session)$'
run 'a stranger'
run 'someone signed in' -H "$(bearer ada)" --exclude-path-regex "$ends_its_session"
# These two end the session that they are called with, so each has one of its own.
run 'someone who refreshes' -H "$(bearer grace)" --include-path /api/auth/refresh-session
run 'someone who leaves' -H "$(bearer mary)" --include-path /api/auth/logout

if grep -E 'panicked|ERROR' "$log"; then
    echo 'the service logged the errors above' >&2
    exit 1
fi
echo 'schemathesis: no fault found'
