# Runs a server as long as whoever started it lives: when they end, however they end, the pipe on
# our input closes, and the server ends with us. Told `keep` before that, its folder stays.
#
# sh -c "$(cat guard.sh)" guard FOLDER LOG PROGRAM ARGUMENT…
folder=$1
log=$2
shift 2
umask 077
# A group that is left alone with somebody stopped in it is told to hang up.
trap '' HUP
cd "$folder" || exit
"$@" >>"$log" 2>&1 </dev/null &
server=$!
echo "$server"

word=
read -r word

# Stopped first, so that it has no more children than those that are found.
kill -STOP "$server" 2>/dev/null
family=$(grep -ls "^PPid:[[:space:]]*$server\$" /proc/[0-9]*/status | cut -d/ -f3)
# shellcheck disable=SC2086 # several numbers, several words
kill -KILL "$server" $family 2>/dev/null
wait "$server" 2>/dev/null
# A database does not start again while one of the old processes is there. (A dead one that nobody
# has waited for has no program any more.)
for process in $family; do
    while [ -e "/proc/$process/exe" ]; do sleep 0.01; done
done
[ "$word" = keep ] || rm -rf "$folder"
