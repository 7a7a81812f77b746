# shellcheck shell=bash disable=SC2034
# What digests.sh and emulated.sh share: a scratch folder, and a table of digests that must
# agree.  They exit with $failed.

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
missing_is_failure=no

# line LABEL LABEL LABEL DIGEST DIGEST
line() { printf '%-20s %-10s %-27s %-16s  %s\n' "$@"; }

# not_run LABEL LABEL LABEL WHY
not_run() {
    line "$1" "$2" "$3" "not run: $4" ''
    if [ "$missing_is_failure" = yes ]; then failed=1; fi
}

# compare GROUP LABEL LABEL LABEL COMMAND...: runs a command that prints a digest for every
# case, and compares with the first of the group.
compare() {
    local labels=("${@:2:3}") found=$scratch/found expected=$scratch/expected-$1
    shift 4
    if ! "$@" >"$found" 2>"$scratch/errors" || [ ! -s "$found" ]; then
        line "${labels[@]}" FAILED ''
        cat "$scratch/errors" >&2
        failed=1
        return
    fi
    line "${labels[@]}" "$(sed -n 's/^float32, all: //p' "$found")" \
        "$(sed -n 's/^float64, all: //p' "$found")"
    [ -e "$expected" ] || cp "$found" "$expected"
    if ! cmp -s "$expected" "$found"; then
        echo '  DIFFERS from the first of the table:'
        awk 'NR == FNR { first[FNR] = $0; next }
             $0 != first[FNR] && n++ < 3 { print "    " first[FNR]; print "    " $0 }' \
            "$expected" "$found"
        failed=1
    fi
}
