# Shared by the test scripts: run functions as tests and report them as scripts/run-tests wants (TAP).
# shellcheck shell=bash

# tap NAME...: each function is a test; it fails by a status that is not 0, 77 skips it. Ends the script.
tap() {
    local name number=0 failed=0
    echo "1..$#"
    for name; do
        number=$((number + 1))
        "$name"
        case $? in
        0) echo "ok $number - $name" ;;
        77) echo "ok $number # SKIP $name" ;;
        *)
            echo "not ok $number - $name"
            failed=1
            ;;
        esac
    done
    exit $failed
}
