# Shared by the tests that hold two runs against each other. Speaks of a runs folder and of a results folder.
# shellcheck shell=bash
csv_awk=$PWD/plots/csv.awk

# One line a file of a stage: sum and name. Left out: what holds times or the number of threads, and the sums of that.
sums() {
    (cd "$1" && find . -mindepth 2 -type f ! -name .lock ! -name DONE ! -name manifest.ini ! -name SHA256SUMS ! -name log.csv -exec sha256sum {} + |
        sort -k 2
        find . -name log.csv -print0 | sort -z | xargs -0 sed 's/,[^,]*$//' | sha256sum)
}

# Also what people look at: the result files (timing column aside) and the sample sheets.
# shellcheck disable=SC2016 # awk has its own dollars
collected() {
    (cd "$1" && for file in *.csv; do
        [ "$file" != stages.csv ] || continue # when, and how long
        awk -f "$csv_awk" -f <(echo '
            /^#/ { print; next }
            { n = split_csv($0, f); for (i = 1; i <= n; i++) { if (!seen && f[i] == "seconds") skip = i; if (i != skip) printf "%s,", f[i] }
              seen = 1; print "" }') "$file" | sha256sum | sed "s|-|$file|"
    done
        find . -name '*.png' -exec sha256sum {} + | sort -k 2)
}
