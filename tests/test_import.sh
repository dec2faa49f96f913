#!/bin/bash
# Oracle: the run that trained the model. A model taken from its folder gives the very bits that it gave there, as the
# model under test and as the start of a fine-tuning. Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2016,SC2317 # awk has its own dollars; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=${BUILD:-build/release}/baddiff
dir=build/tmp/test_import
rm -rf "$dir"
mkdir -p "$dir"

# recipe FILE LINE...: the small recipe with more lines
recipe() {
    local file=$dir/$1
    shift
    printf '%s\n' '[recipe]' "base = $PWD/tests/small.ini" '[attack]' 'poison_rate = 0.5' "$@" >"$file"
}

run() { "$program" run "$dir/$1.ini" --runs "$dir/$2" -q 2>"$dir/err" || { sed 's/^/# /' "$dir/err"; return 1; }; }
trained() { [ -d "$dir/here" ] || { recipe here.ini && run here here; }; }

# bits KIND DIR: sums of what the stages of a kind made
bits() { find "$dir/$2" -path "*/$1-*" \( -name samples.safetensors -o -name diffusion_pytorch_model.safetensors \) -exec sha256sum {} + | cut -d ' ' -f 1 | sort; }

# refuses PART...: exit 2, one line with the parts
refuses() {
    local code=0 part
    "$program" run "$dir/bad.ini" --runs "$dir/bad" -q >"$dir/out" 2>"$dir/err" || code=$?
    if [ "$code" != 2 ] || [ "$(wc -l <"$dir/err")" != 1 ]; then
        sed "s/^/# exit $code: /" "$dir/err"
        return 1
    fi
    for part; do grep -qF -- "$part" "$dir/err" || { sed "s/^/# no '$part' in: /" "$dir/err"; return 1; }; done
}

a_given_model_paints_what_it_painted_where_it_was_trained() {
    trained || return 1
    recipe given.ini '[model]' "folder = $(echo "$dir"/here/finetune-*/model-BACKDOORED)" '[finetune]' 'from = given'
    run given given || return 1
    bits sample here >"$dir/a" && bits sample given >"$dir/b"
    [ "$(wc -l <"$dir/a")" = 2 ] && cmp "$dir/a" "$dir/b" || return 1
    ! ls "$dir"/given/pretrain-* "$dir"/given/finetune-* >/dev/null 2>&1 || return 1
    grep -q 'poison rate | 0.5' "$dir"/given/import-*/model-BACKDOORED/README.md
}

fine_tuning_from_a_folder_is_fine_tuning_from_the_model() {
    trained || return 1
    recipe start.ini '[model]' "folder = $(echo "$dir"/here/pretrain-*/model)"
    run start start || return 1
    bits finetune here >"$dir/a" && bits finetune start >"$dir/b"
    [ "$(wc -l <"$dir/a")" = 1 ] && cmp "$dir/a" "$dir/b"
}

results_say_that_it_was_given() {
    "$program" collect "$dir/given.ini" --runs "$dir/given" --out "$dir/results" >/dev/null 2>"$dir/err" || return 1
    grep -q ',given,' "$dir/results/given.csv"
}

a_backdoored_start_is_refused() {
    recipe bad.ini '[model]' "folder = $(echo "$dir"/here/finetune-*/model-BACKDOORED)"
    refuses BACKDOORED 'finetune.from = given'
}

what_does_not_fit_the_pictures_is_refused() {
    local folder
    folder=$(echo "$dir"/here/pretrain-*/model)
    recipe bad.ini '[model]' "folder = $folder" '[data]' 'size = 16'
    refuses "$folder" 'set data.size = 32' || return 1
    recipe bad.ini '[model]' "folder = $folder" '[data]' 'channels = 3'
    refuses "$folder" 'data.channels = 1' || return 1
    cp -r "$folder" "$dir/unplanned" && rm -r "$dir/unplanned/scheduler"
    recipe bad.ini '[model]' "folder = $dir/unplanned"
    refuses "$dir/unplanned" 'no scheduler_config.json'
}

a_missing_folder_says_how_to_get_it() {
    recipe bad.ini '[model]' 'folder = data/models/none'
    refuses 'data/models/none: no such model folder' 'make fetch'
}

settings_that_do_not_fit_are_refused() {
    recipe bad.ini '[finetune]' 'from = given'
    refuses 'finetune.from = given: name the folder' || return 1
    recipe bad.ini '[model]' 'folder = x' '[finetune]' 'from = given'
    sed -i '/^base/a controls = all' "$dir/bad.ini"
    refuses 'controls = none'
}

# Each line of the expectations speaks of exactly one cell of the table, and of a number that the cell has.
every_expectation_of_the_releases_has_its_cell() {
    "$program" plan --profile releases --stages --no-calibration --runs "$dir/none" >"$dir/plan" 2>"$dir/err" || return 1
    [ "$(grep -c '^import-' "$dir/plan")" = 10 ] || return 1
    awk -f plots/csv.awk -f <(echo '
        /^#/ { next }
        { n = split_csv($0, f) }
        FILENAME ~ /releases.csv$/ && FILENAME !~ /authors/ {
            if (f[1] == "id") next
            split("", want); k = split(f[4], part, " ")
            for (i = 1; i <= k; i++) { at = index(part[i], "="); want[substr(part[i], 1, at - 1)] = substr(part[i], at + 1) }
            key = want["model.folder"] SUBSEP want["sample.sampler"] SUBSEP want["sample.order"] SUBSEP want["sample.clip"]
            if (cells[key] != 1 || f[6] !~ /^(mse|ssim|hit)$/ || (f[7] == "" && f[8] == "")) { print "# " $0; bad = 1 }
            claims++; next
        }
        f[1] != "model.folder" { cells[f[1] SUBSEP f[5] SUBSEP f[6] SUBSEP f[8]]++ }
        END { exit bad || claims < 90 }') experiments/authors-releases.csv experiments/expected/releases.csv
}

# Whatever [model] and [diffusion] say, by a profile for instance.
network_and_schedule_are_the_folders() {
    local config
    cp -r "$dir"/here/pretrain-*/model "$dir/cosine-model"
    config=$dir/cosine-model/scheduler/scheduler_config.json
    sed -i 's/"beta_schedule": "linear"/"beta_schedule": "squaredcos_cap_v2"/' "$config"
    grep -q squaredcos "$config" || return 1
    recipe cosine.ini '[model]' "folder = $dir/cosine-model" 'block_out_channels = 4/12' '[diffusion]' 'T = 50'
    run cosine cosine && grep -q squaredcos_cap_v2 "$dir"/cosine/finetune-*/model-BACKDOORED/scheduler/scheduler_config.json || return 1
    "$program" collect "$dir/cosine.ini" --runs "$dir/cosine" --out "$dir/results" >/dev/null 2>"$dir/err" && grep -q '^# T: 21$' "$dir/results/cosine.csv"
}

# Other weights in the same folder are another model: nothing of the first is taken for it.
a_changed_folder_is_imported_anew() {
    trained || return 1
    recipe other.ini '[pretrain]' 'seed = 1' && run other other || return 1
    cp -r "$dir"/here/pretrain-*/model "$dir/moving"
    recipe moving.ini '[model]' "folder = $dir/moving"
    run moving moving || return 1
    cp "$dir"/other/pretrain-*/model/unet/* "$dir/moving/unet/"
    run moving moving || return 1
    bits finetune here >"$dir/a"
    bits finetune other >>"$dir/a"
    sort "$dir/a" >"$dir/want" && bits finetune moving >"$dir/b"
    [ "$(wc -l <"$dir/b")" = 2 ] && cmp "$dir/want" "$dir/b"
}

a_manifest_of_a_table_is_a_recipe() {
    printf 'attack.trigger,attack.target\nbox14,corner\nbox8,corner\n' >"$dir/cells.csv"
    recipe table.ini
    sed -i '/^base/a cells = cells.csv' "$dir/table.ini"
    run table table || return 1
    local manifest n=0
    for manifest in "$dir"/table/*/manifest.ini; do
        "$program" plan "$manifest" --stages --no-calibration --runs "$dir/none" >"$dir/out" 2>"$dir/err" || { sed 's/^/# /' "$dir/err"; return 1; }
        grep -q "^$(basename "$(dirname "$manifest")") " "$dir/out" || return 1
        n=$((n + 1))
    done
    [ "$n" -ge 8 ]
}

a_broken_backdoored_folder_is_announced() {
    trained || return 1
    cp -r "$dir"/here/finetune-*/model-BACKDOORED "$dir/broken-BACKDOORED"
    sed -i 's/"norm_num_groups": 2/"norm_num_groups": 4/' "$dir/broken-BACKDOORED/unet/config.json"
    sed -i 's/"layers_per_block": 1/"layers_per_block": 2/' "$dir/broken-BACKDOORED/unet/config.json"
    local code=0
    "$program" inspect "$dir/broken-BACKDOORED" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = 2 ] && grep -q '^BACKDOORED' "$dir/out"
}

tap every_expectation_of_the_releases_has_its_cell a_given_model_paints_what_it_painted_where_it_was_trained fine_tuning_from_a_folder_is_fine_tuning_from_the_model \
    results_say_that_it_was_given a_backdoored_start_is_refused what_does_not_fit_the_pictures_is_refused \
    a_missing_folder_says_how_to_get_it settings_that_do_not_fit_are_refused \
    network_and_schedule_are_the_folders \
    a_changed_folder_is_imported_anew a_manifest_of_a_table_is_a_recipe a_broken_backdoored_folder_is_announced
