#!/bin/bash
# Oracles: small files made here, fetched by file:// and by a stand-in for curl that breaks off, refuses ranges or answers
# with a page. Nothing leaves the machine. Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
fetch=$PWD/data-fetch/fetch
dir=$PWD/build/tmp/test_fetch
rm -rf "$dir"
mkdir -p "$dir/server" "$dir/bin"
seq 1 5000 >"$dir/server/numbers.txt"
bytes=$(stat -c %s "$dir/server/numbers.txt")
sum=$(sha256sum "$dir/server/numbers.txt" | cut -d ' ' -f 1)
real_curl=$(command -v curl || true)

# list NAME FILE BYTES SHA256 URL [UNPACK]: a list of one input, in a folder of its own
list() {
    export FETCH_INPUTS=$dir/$1.tsv FETCH_ROOT=$dir/$1
    rm -rf "$FETCH_ROOT"
    mkdir -p "$FETCH_ROOT"
    printf '# a comment\n%s\t%s\t%s\t%s\t%s\tMIT\tsome place; someone 2024%s\n' "$1" "$2" "$3" "$4" "$5" "${6+	$6}" >"$FETCH_INPUTS"
}

# expect CODE PATTERN ARGS...: exit code, and a line of output that matches
expect() {
    local want=$1 pattern=$2 got=0
    shift 2
    "$fetch" "$@" >"$dir/out" 2>&1 || got=$?
    [ "$got" = "$want" ] && grep -qE -- "$pattern" "$dir/out" && return 0
    echo "# exit $got, expected $want and /$pattern/"
    sed 's/^/# /' "$dir/out"
    return 1
}

# A curl that does what $dir/bin/script says with OUT (the file after -o) and START (its size before).
fake_curl() {
    # shellcheck disable=SC2016 # the stand-in expands them
    printf '#!/bin/bash\ncase "$*" in *"-C -"*) ;; *) go_on=no ;; esac\nwhile [ "$1" != -o ]; do shift; done\n[ -z "$go_on" ] || rm -f "$2"\nOUT=$2 START=$(stat -c %%s "$2" 2>/dev/null || echo 0)\necho "start $START" >>%s/calls\n%s\n' "$dir" "$1" >"$dir/bin/curl"
    chmod +x "$dir/bin/curl"
    : >"$dir/calls"
}
with_fake() { PATH=$dir/bin:$PATH "$@"; }

needs_curl() {
    [ -n "$real_curl" ] && return 0
    echo "skip: no curl here"
    return 77
}

a_file_is_fetched_checked_and_not_fetched_again() {
    needs_curl || return
    list plain data/a/numbers.txt "$bytes" "$sum" "file://$dir/server/numbers.txt"
    expect 0 '^plain +missing' && expect 0 '^fetched +data/a/numbers.txt \(MIT; some place' plain || return 1
    cmp "$dir/server/numbers.txt" "$FETCH_ROOT/data/a/numbers.txt" || return 1
    fake_curl 'exit 99'
    with_fake expect 0 '^ok +data/a/numbers.txt' plain && [ ! -s "$dir/calls" ]
}

a_wrong_sum_leaves_nothing_under_the_name() {
    needs_curl || return
    list wrong data/numbers.txt "$bytes" "${sum//[0-8]/9}" "file://$dir/server/numbers.txt"
    expect 1 "gave another file: $bytes bytes, sha256 $sum" wrong || return 1
    [ ! -e "$FETCH_ROOT/data/numbers.txt" ] && [ ! -e "$FETCH_ROOT/data/numbers.txt.unchecked" ]
}

a_wrong_file_that_is_there_is_left_alone() {
    list there data/numbers.txt "$bytes" "$sum" "file://$dir/server/numbers.txt"
    mkdir "$FETCH_ROOT/data"
    echo mine >"$FETCH_ROOT/data/numbers.txt"
    expect 0 '^there +wrong' && expect 1 'move it away' there && [ "$(cat "$FETCH_ROOT/data/numbers.txt")" = mine ]
}

an_interrupted_transfer_goes_on() {
    list resume data/numbers.txt "$bytes" "$sum" https://example.invalid/numbers.txt
    fake_curl "tail -c +\$((START + 1)) $dir/server/numbers.txt | head -c 9000 >>\$OUT; [ \$START != 0 ] || exit 18"
    with_fake expect 1 'same command goes on there' resume || return 1
    [ "$(stat -c %s "$FETCH_ROOT/data/numbers.txt.unchecked")" = 9000 ] && [ ! -e "$FETCH_ROOT/data/numbers.txt" ] || return 1
    fake_curl "tail -c +\$((START + 1)) $dir/server/numbers.txt >>\$OUT"
    with_fake expect 0 '^fetched' resume && grep -qx 'start 9000' "$dir/calls" && cmp "$dir/server/numbers.txt" "$FETCH_ROOT/data/numbers.txt"
}

a_server_that_cannot_go_on_is_asked_from_the_start() {
    list range data/numbers.txt "$bytes" "$sum" https://example.invalid/numbers.txt
    mkdir "$FETCH_ROOT/data"
    head -c 100 "$dir/server/numbers.txt" >"$FETCH_ROOT/data/numbers.txt.unchecked"
    fake_curl "[ \$START = 0 ] || exit 33; cp $dir/server/numbers.txt \$OUT"
    with_fake expect 0 '^fetched' range && [ "$(tr '\n' ' ' <"$dir/calls")" = 'start 100 start 0 ' ]
}

a_page_or_a_pointer_is_called_by_its_name() {
    local known
    for known in "$bytes $sum" "- -"; do
        # shellcheck disable=SC2086 # two words
        list page data/numbers.txt $known https://example.invalid/numbers.txt
        fake_curl "printf '<!DOCTYPE html>\n<html>log in</html>' >\$OUT"
        with_fake expect 1 'an HTML page' page && [ -z "$(find "$FETCH_ROOT" -type f)" ] || return 1
        fake_curl "printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n' >\$OUT"
        with_fake expect 1 'a git-LFS pointer' page && [ -z "$(find "$FETCH_ROOT" -type f)" ] || return 1
    done
}

without_a_network_it_says_what_to_put_where() {
    list offline data/numbers.txt "$bytes" "$sum" https://example.invalid/numbers.txt
    fake_curl 'exit 6'
    with_fake expect 1 "put it at +$FETCH_ROOT/data/numbers.txt" offline || return 1
    grep -q "https://example.invalid/numbers.txt" "$dir/out" && grep -q "$bytes" "$dir/out" && grep -q "$sum" "$dir/out" && grep -q MIT "$dir/out" || return 1
    cp "$dir/server/numbers.txt" "$FETCH_ROOT/data/"
    with_fake expect 0 '^ok' offline
}

by_hand_only_is_said_and_checked() {
    list hand data/numbers.txt "$bytes" "$sum" -
    expect 1 'from +some place; someone 2024' hand || return 1
    mkdir -p "$FETCH_ROOT/data" && cp "$dir/server/numbers.txt" "$FETCH_ROOT/data/" && expect 0 '^ok' hand || return 1
    list folder data/pictures/ - - -
    expect 1 "into the folder $FETCH_ROOT/data/pictures/" folder || return 1
    mkdir -p "$FETCH_ROOT/data/pictures" && : >"$FETCH_ROOT/data/pictures/1.png" && expect 0 'not verified' folder
}

an_unknown_sum_is_printed_and_the_file_marked() {
    needs_curl || return
    local file
    list new data/numbers.txt - - "file://$dir/server/numbers.txt"
    file=$FETCH_ROOT/data/numbers.txt
    expect 0 "NOT VERIFIED: .* $bytes bytes, sha256 $sum" new && grep -q "$sum" "$file.unverified" || return 1
    expect 0 '^new +unverified' && expect 0 'not verified' new || return 1
    echo more >>"$file" # later changes are noticed
    expect 1 'move it away' new || return 1
    cp "$dir/server/numbers.txt" "$file"
    printf 'new\tdata/numbers.txt\t%s\t%s\t-\tMIT\tx\n' "$bytes" "$sum" >"$FETCH_INPUTS" # the sum becomes known
    expect 0 '^ok +data/numbers.txt$' new && [ ! -e "$file.unverified" ]
}

gzip_is_checked_by_its_content() {
    needs_curl || return
    gzip -1 -c "$dir/server/numbers.txt" >"$dir/server/numbers.gz"
    list packed data/numbers.gz "$bytes" "$sum" "file://$dir/server/numbers.gz"
    expect 0 '^fetched' packed || return 1
    head -c 3000 "$dir/server/numbers.gz" >"$FETCH_ROOT/data/numbers.gz"
    expect 1 'move it away' packed
}

archives_are_unpacked_once() {
    needs_curl || return
    mkdir -p "$dir/server/set" && cp "$dir/server/numbers.txt" "$dir/server/set/" && tar -czf "$dir/server/set.tar.gz" -C "$dir/server" set || return 1
    list archive data/set.tar.gz "$(stat -c %s "$dir/server/set.tar.gz")" "$(sha256sum "$dir/server/set.tar.gz" | cut -d ' ' -f 1)" "file://$dir/server/set.tar.gz" set
    expect 0 '^unpacked data/set$' archive && cmp "$dir/server/numbers.txt" "$FETCH_ROOT/data/set/numbers.txt" || return 1
    expect 0 '^ok' archive && ! grep -q '^unpacked' "$dir/out" || return 1
    rm "$FETCH_ROOT/data/set.tar.gz" # who wants the room back may have it
    expect 0 'unpacked earlier' archive || return 1
    list other data/set.tar.gz - - "file://$dir/server/set.tar.gz" another
    expect 1 'did not unpack to the folder another' other && [ ! -e "$FETCH_ROOT/data/another" ]
}

an_unknown_name_is_answered_with_the_known_ones() {
    list name data/numbers.txt "$bytes" "$sum" -
    expect 2 "no input named 'nome'; known: name" nome
}

a_pattern_stands_for_all_names_it_fits() {
    list set-one data/one.txt "$bytes" "$sum" -
    sed 'p; s/one/two/gp; s/set-two\tdata.two/other\tdata\/other/' "$FETCH_INPUTS" >"$dir/three" && mv "$dir/three" "$FETCH_INPUTS"
    expect 1 data/one.txt 'set-*' && grep -q data/two.txt "$dir/out" && ! grep -q data/other.txt "$dir/out" || return 1
    expect 2 'no input named .sets-' 'sets-*'
}

# The list itself: eight or seven columns, whole numbers, sums of 64 digits, files below data/, one row a file.
the_list_is_well_formed() {
    awk -F '\t' '/^#/ || !NF { next }
        (NF != 7 && NF != 8) || $2 !~ /^data\/[^ ]+$/ || $3 !~ /^([0-9]+|-)$/ || $4 !~ /^([0-9a-f]+|-)$/ ||
        ($4 != "-" && length($4) != 64) || $5 !~ /^(https?:\/\/[^ ]+|-)$/ || $6 == "" || $7 == "" || seen[$2]++ {
            print "# line " NR ": " $0; bad = 1 }
        END { exit bad }' data-fetch/inputs.tsv
}

tap a_file_is_fetched_checked_and_not_fetched_again a_wrong_sum_leaves_nothing_under_the_name a_wrong_file_that_is_there_is_left_alone \
    an_interrupted_transfer_goes_on a_server_that_cannot_go_on_is_asked_from_the_start a_page_or_a_pointer_is_called_by_its_name \
    without_a_network_it_says_what_to_put_where by_hand_only_is_said_and_checked an_unknown_sum_is_printed_and_the_file_marked \
    gzip_is_checked_by_its_content archives_are_unpacked_once \
    a_pattern_stands_for_all_names_it_fits an_unknown_name_is_answered_with_the_known_ones the_list_is_well_formed
