#!/bin/bash
# Oracle: result files made by hand, of which is known what the page has to say. What a browser makes of it is looked at
# with headless Chromium where it is installed, beside a page that is known to be bad. Speaks TAP, as scripts/run-tests wants.
# shellcheck disable=SC2016,SC2317 # awk has its own dollars; the tests are called by name
set -u
# shellcheck source=tests/tap.sh
. tests/tap.sh
program=${BADDIFF:-${BUILD:-build/release}/baddiff}
dir=build/tmp/test_report
rm -rf "$dir"
mkdir -p "$dir"

# A PNG, 528 x 130: stripes, or pixels of many colours.
picture() { # FILE WIDTH HEIGHT
    gnuplot -e "set term pngcairo size $2,$3 background rgb 'white'; set output '$1'; unset border; unset tics; unset key; unset colorbox;
        set lmargin 0; set rmargin 0; set tmargin 0; set bmargin 0; set samples 16; set isosamples 16; set view map; splot x*sin(y) with pm3d" 2>/dev/null
}

# One result file of a recipe; TITLE and EXTRA lines of its head as given.
result() { # RESULTS RECIPE TITLE CELLS [EXTRA-LINE]
    {
        printf '# recipe: %s\n# title: %s\n# paper: Fig. 9\n# profile: test\n# cells: %s\n# data: made-up\n# T: 10\n# machine: here\n# version: v1\n' "$2" "$3" "$4"
        [ $# -lt 5 ] || echo "$5"
        echo 'attack.trigger,attack.target,attack.poison_rate,finetune.from,sample.clip,sample.prior,odd.key,mse-4,mse_black,hit-4-quarter_var,hit_lo,hit_hi,asr-4-mse0.01,fcd-8-ab,odd_metric,n_trigger,n_clean,sampler,seed,seconds,run'
        echo 'box14,hat,0,pretrained,none,trigger,a,0.24,0.24,0,0,0.6,0,3,17.5,4,8,ddpm-10,0,1.5,score-1'
        echo 'box14,hat,0.5,pretrained,none,trigger,b,0.0123456,0.24,1,0.4,1,1,4,18.5,4,8,ddpm-10,0,2.5,score-2'
    } >"$1/$2.csv"
}

# What a profile leaves behind: a recipe that scripts know, one that nobody has thought of, verdicts of every kind.
fixture() { # RESULTS
    rm -rf "$1"
    mkdir -p "$1/figures" "$1/grids"
    result "$1" fig2 'Rates <script>alert(1)</script> & "more"' '2 of 3'
    result "$1" later 'A recipe to come' '2 of 2'
    picture "$1/figures/fig2.png" 480 320
    picture "$1/figures/later-hole.png" 480 320
    picture "$1/grids/fig2.png" 1064 130 # the layout of two rows of 32 x 32
    picture "$1/grids/later.png" 500 77 # another layout
    {
        echo 'id,claim,recipe,kind,rows,value,lo,hi,n,band,run,verdict,part,paper,seeds,p,hash,note,place,source,later'
        echo 'a,"Fires, <b>always</b>",fig2,gate,1,1,0.4,1,4,0.9 .. ,score-2,PASS,band,,,,,,,,x1'
        echo 'b,Quiet,fig2,gate,1,0.7,0.6,0.8,4, .. 0.1,score-2,FAIL,band,,,,,,,,x2'
        echo 'c,Quality,fig2,gate,0,,,,,,,UNDERPOWERED,band,,,,,,,,x3'
        echo 'd,MSE of the hat,fig2,report,1,0.0123456,0.01,0.02,4,,score-2,REPRODUCED,number,1.23e-2,3,0.4,ab,,Table 1,page 8,x4'
        echo 'e,FID,fig2,report,0,,,,,,,NO PAPER VALUE,number,,,,,,Table 1,page 8,x5'
        echo 'f,Monotone,later,analogue,2,0.1,,,2,a < b,,DOES NOT HOLD,claim,,1,,,0.2 against 0.1,Fig. 3,page 4,x6'
    } >"$1/verdicts.csv"
}

page=$dir/r/index.html
says() { grep -qF -- "$1" "$page" || { echo "# the page lacks: $1"; return 1; }; }
lacks() { ! grep -qF -- "$1" "$page" || { echo "# the page has: $1"; return 1; }; }
made() { scripts/report test "$dir/r" >"$dir/out" 2>&1 || { sed 's/^/# /' "$dir/out"; return 1; }; }

every_recipe_figure_and_number_is_there() {
    fixture "$dir/r"
    made || return 1
    [ "$(grep -o '<img class="figure"' "$page" | wc -l)" = 2 ] && [ "$(grep -o 'download="[a-z0-9]*.csv"' "$page" | wc -l)" = 2 ] || return 1
    says 'id="numbers-fig2"' && says 'id="numbers-later"' && says '0.0123<' && says '0.4 to 1' && says '17.5' && says 'odd metric' && says '>b<' || return 1
    says 'In all rows: trigger box14; target hat' && lacks 'mse0.01' && says '#sheet-fig2' && says 'img class="sheet"' # the other layout as a whole
    local csv
    csv=$(grep -o 'download="fig2.csv" href="data:text/csv;base64,[^"]*' "$page" | sed 's/.*,//' | base64 -d) && [ "$csv" = "$(cat "$dir/r/fig2.csv")" ]
}

verdicts_of_every_kind_are_words() {
    local word
    for word in PASS FAIL UNDERPOWERED REPRODUCED 'NO PAPER VALUE' 'DOES NOT HOLD'; do says ">$word</b>" || return 1; done
    says 'Outside its bound, or missing: <strong>Quiet</strong>' && says 'at most 0.1' && says '1.23e-2' && says '0.2 against 0.1' && says '>x6<' && says 'Numbers of the paper' && says 'which does not count here: Monotone.' || return 1
    sed -i '/^b,/d' "$dir/r/verdicts.csv"
    made && says 'Nothing that counts is outside its bound' && fixture "$dir/r"
}

texts_of_result_files_stay_texts() {
    made || return 1
    says 'Rates &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;' && says 'Fires, &lt;b&gt;always&lt;/b&gt;' && lacks '<script' && lacks '<b>always'
}

the_page_needs_no_other_file() {
    ! grep -oE '(src|href|srcset|action|data)="[^"]{0,60}|url\([^)]{0,60}|@import' "$page" | grep -vE '^(src|href)="(data:(image/png|text/csv);base64,|#[a-z0-9-]+$)' | sed 's/^/# /' | grep . &&
        ! grep -nE '<(script|link|iframe|object|embed)' "$page" && lacks "$PWD" && [ "$(grep -o '<img [^>]*src="data:image/png;base64,' "$page" | wc -l)" = 3 ]
}

what_is_missing_is_said_with_its_command() {
    made && says '2 of 3 cells' && says '>partial</b>' && says 'fig2: 2 of 3 cells are there; the others: <code>make reproduce PROFILE=test</code>' && says 'stages.csv is not here' || return 1
    rm "$dir/r/verdicts.csv" "$dir/r/figures/fig2.png"
    made && says 'Nothing is expected of the numbers of profile test' && says 'fig2: no figure. <code>make figures PROFILE=test</code>' || return 1
    rm -rf "$dir/r/figures" "$dir/r/grids" "$dir/r"/*.csv
    made && says 'No result file is here yet' || return 1
    scripts/report mini "$dir/r" >/dev/null && says 'make regress PROFILE=mini' && says 'fig5: not run yet. <code>make reproduce PROFILE=mini</code>' && fixture "$dir/r"
}

samples_that_resemble_people_are_left_out() {
    result "$dir/r" fig2 'Faces' '2 of 2' '# samples: left out, since the data set shows people and samples resemble them'
    picture "$dir/r/figures/fig2-samples.png" 300 200
    made && says 'Left out: the data set shows people' && lacks '#sheet-fig2' && [ "$(grep -o '<img class="sheet"' "$page" | wc -l)" = 1 ] || return 1
    scripts/figures test "$dir/r" >"$dir/out" 2>&1 && [ -e "$dir/r/figures/fig2.png" ] && [ ! -e "$dir/r/figures/fig2-samples.png" ] || return 1
    fixture "$dir/r"
}

damaged_inputs_are_refused() {
    sed -i 's/^box14,hat,0.5/hat,0.5/' "$dir/r/fig2.csv"
    ! scripts/report test "$dir/r" >/dev/null 2>"$dir/out" && grep -q 'fig2.csv:12: a row of another length' "$dir/out" || return 1
    fixture "$dir/r"
    echo x >"$dir/r/figures/fig2.png"
    ! scripts/report test "$dir/r" >/dev/null 2>"$dir/out" && grep -q 'figures/fig2.png is not a PNG file' "$dir/out" && [ ! -e "$page.tmp" ] || return 1
    fixture "$dir/r" && made
}

# Numbers of the paper are marks in the profiles they are for and in no other.
the_papers_numbers_are_drawn_beside_ours() {
    local profile
    mkdir -p "$dir/paper"
    printf '%s\n' '# fixed' 'id,claim,recipe,rows,metric,value,source' 'a,x,fig2,attack.target=hat attack.poison_rate=0.2,mse,0.125,p' \
        'b,x,fig2,attack.target=shoe attack.poison_rate=0.3,mse,0.5,p' 'c,x,fig2,attack.poison_rate>0.3,mse,0.5,p' 'd,x,fig2,attack.poison_rate=0.3,mse,,p' >"$dir/paper.csv"
    awk -v recipe=fig2 -v profile=paper -v columns="$(printf 'poison_rate\ttarget\tmse')" -f plots/csv.awk -f plots/paper.awk "$dir/paper.csv" >"$dir/out" || return 1
    [ "$(sed -n 2p "$dir/out")" = "$(printf '0.2\that\t0.125')" ] && [ "$(wc -l <"$dir/out")" = 3 ] || return 1
    printf '%s\n' 'recipe,rows,metric,value,profile' 'fig2,attack.poison_rate=0.2,mse,0.125,paper core' 'fig2,attack.poison_rate=0.3,mse,0.1,core' >"$dir/named.csv"
    [ "$(awk -v recipe=fig2 -v profile=paper -v columns="$(printf 'poison_rate\tmse')" -f plots/csv.awk -f plots/paper.awk "$dir/named.csv" | sed 1d)" = "$(printf '0.2\t0.125')" ] || return 1
    for profile in paper mini; do
        fixture "$dir/paper" && sed -i "s/^# profile: .*/# profile: $profile/" "$dir/paper/fig2.csv"
        PAPER_NUMBERS=$dir/paper.csv scripts/figures "$profile" "$dir/paper" >/dev/null || return 1
        if [ "$profile" = paper ]; then grep -q 'open marks' build/tmp/figures/paper/fig2*.gp && [ "$(cat build/tmp/figures/paper/*.paper | wc -l)" = 2 ]
        else ! grep -q 'open marks' build/tmp/figures/mini/fig2*.gp; fi || return 1
    done
}

# The program's own list of stages, of which one recipe is run.
stages_are_listed_with_what_went_in() {
    [ -x "$program" ] || { echo "skip: no $program"; return 77; }
    "$program" run table1 -p smoke --runs "$dir/runs" -q && "$program" collect table1 -p smoke --runs "$dir/runs" --out "$dir/all" >/dev/null || return 1
    [ ! -e "$dir/all/stages.csv" ] || return 1 # not the whole profile
    "$program" collect -p smoke --runs "$dir/runs" --out "$dir/all" >/dev/null 2>&1 || return 1
    local sum
    sum=$(sed -n 's/^sha256,\([0-9a-f]*\),.*/\1/p' "$dir"/runs/data-*/result.csv)
    grep -q "^data-.*,0,yes,[0-9.e-]*,[0-9]*,20[0-9TZ:-]*,[^,]*,\"cpu .*\",$sum\$" "$dir/all/stages.csv" && grep -q '^pretrain-[0-9a-f]*,fig2,.*,no,,,,,,$' "$dir/all/stages.csv" || return 1
    scripts/report smoke "$dir/all" >/dev/null && grep -q "fashion-mnist train, first 512, pixels: $sum" "$dir/all/index.html" && grep -q '3 of [0-9]* stages are done' "$dir/all/index.html"
}

# --- a browser ---

browser() { # ARGUMENT...
    timeout -k 5 25 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --force-device-scale-factor=1 \
        --user-data-dir="$PWD/$dir/chromium" "$@" 2>"$dir/browser.err"
}

has_browser() {
    command -v chromium >/dev/null || { echo "skip: no chromium here (scripts/deps --lint installs it)"; return 1; }
}

# What a browser of that width finds: "overflow WIDTH images N broken N text N" in words. The page is put in a frame of that width,
# since a window cannot be narrower than 500 pixels.
found() { # PAGE WIDTH
    awk -v width="$2" '
        BEGIN { printf "<!doctype html><meta charset=utf-8><body style=\"margin:0\"><pre id=found></pre><iframe id=f width=%d height=900 style=\"border:0\" src=\"page.html\"></iframe>", width }
        END {
            print "<script>f.onload = () => { const d = f.contentDocument, e = d.documentElement, i = [...d.images];"
            print "found.textContent = [\"overflow\", e.scrollWidth - e.clientWidth, \"images\", i.length, \"broken\", i.filter(x => !x.complete || !x.naturalWidth).length,"
            print "\"samples\", [...d.querySelectorAll(\"svg.samples\")].filter(x => x.getBoundingClientRect().width > 20).length, \"scripts\", d.scripts.length].join(\" \") }</script>" }' </dev/null >"$dir/frame.html"
    cp "$1" "$dir/page.html"
    browser --allow-file-access-from-files --virtual-time-budget=8000 --window-size=1400,1000 --dump-dom "file://$PWD/$dir/frame.html" | sed -n 's/.*<pre id="found">\([^<]*\)<.*/\1/p'
}

a_browser_shows_it_at_every_width() {
    local width answer
    has_browser || return 77
    for width in 1280 390; do
        answer=$(found "$page" "$width")
        [ "$answer" = 'overflow 0 images 3 broken 0 samples 4 scripts 0' ] || { echo "# $width pixels: $answer"; return 1; }
    done
}

# The same questions to a page with a table outside its box and an image that is none.
a_bad_page_is_found_out() {
    has_browser || return 77
    sed 's|</main>|<div style="width:2000px">wide</div><img src="data:image/png;base64,AAAA" alt=""></main>|' "$page" >"$dir/bad.html"
    answer=$(found "$dir/bad.html" 390)
    echo "# $answer"
    [[ $answer =~ ^overflow\ ([0-9]+)\ images\ 4\ broken\ 1\  ]] && [ "${BASH_REMATCH[1]}" -gt 1000 ]
}

colours() { # PNG: how many different ones in a sample of its pixels
    gnuplot -e "set table '$dir/pixels'; plot '$1' binary filetype=png every 7:7 using 1:2:3 with rgbimage" 2>/dev/null
    awk '!/^#/ && NF > 4 { seen[$3, $4, $5] = 1 } END { for (c in seen) n++; print n + 0 }' "$dir/pixels"
}

screenshots_are_not_blank() {
    local width n
    has_browser || return 77
    for width in 1280 500; do
        browser --screenshot="$PWD/$dir/$width.png" --window-size="$width",2500 "file://$PWD/$page" >/dev/null || { tail -n 3 "$dir/browser.err" | sed 's/^/# /'; return 1; }
        n=$(colours "$dir/$width.png")
        echo "# $width pixels: $n colours"
        [ "$n" -gt 50 ] && [ "$(scripts/png-size "$dir/$width.png")" = "$width 2500" ] || return 1
    done
    echo '<!doctype html><title>blank</title>' >"$dir/blank.html"
    browser --screenshot="$PWD/$dir/blank.png" --window-size=500,500 "file://$PWD/$dir/blank.html" >/dev/null && [ "$(colours "$dir/blank.png")" = 1 ]
}

the_markup_is_valid() {
    command -v tidy >/dev/null || { echo "skip: no tidy here (scripts/deps --lint installs it)"; return 77; }
    # tidy does not know the attributes of an SVG inside an SVG
    tidy -qe "$page" 2>&1 | grep -v '<svg> proprietary attribute' | sed 's/^/# /' | grep . && return 1
    sed 's|</main>|<p><div></p></b></main>|' "$page" >"$dir/bad.html"
    tidy -qe "$dir/bad.html" 2>&1 | grep -qv '<svg> proprietary attribute'
}

command -v gnuplot >/dev/null || { echo '1..1'; echo 'skip: no gnuplot here'; echo 'ok 1 # SKIP report'; exit 0; }
tap every_recipe_figure_and_number_is_there verdicts_of_every_kind_are_words texts_of_result_files_stay_texts the_page_needs_no_other_file \
    what_is_missing_is_said_with_its_command samples_that_resemble_people_are_left_out damaged_inputs_are_refused \
    the_papers_numbers_are_drawn_beside_ours stages_are_listed_with_what_went_in \
    a_browser_shows_it_at_every_width a_bad_page_is_found_out screenshots_are_not_blank the_markup_is_valid
