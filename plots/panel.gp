# Panel k of a figure with several: where it is, its axes, and what images that know nothing of the target score. Heading,
# caption and key belong to the first alone, x_title to the last.
set tmargin at screen panel_top(k, panels)
set bmargin at screen panel_bottom(k, panels)
set label 5 y_label[k] at screen 0.04, middle_of(k, panels)
unset label 3
unset label 4
unset arrow
if (k > 1) {
    unset label 1
    unset label 2
    unset key
}
if (k == 1) {
    set yrange [-0.04:1.06]
    set ytics 0, 0.25, 1
}
if (k == 2) {
    set yrange [0:mse_top]
    set ytics auto
}
if (k == 2 && one_target && exists("FLAT_max")) {
    set arrow 1 from graph 0, first BLACK_max to graph 1, first BLACK_max nohead dt 1 lw 0.8 lc rgb soft
    set arrow 2 from graph 0, first FLAT_max to graph 1, first FLAT_max nohead dt 2 lw 0.8 lc rgb soft
    set label 3 "all black" at graph 1, first BLACK_max right offset 0, 0.45 font ",8.5" front textcolor rgb soft
    set label 4 "best flat grey" at graph 1, first FLAT_max right offset 0, 0.45 font ",8.5" front textcolor rgb soft
}
if (k == 3) { set yrange [0:quality_top] }
if (k == 3 && exists("FLOOR_max")) {
    set arrow 1 from graph 0, first FLOOR_max to graph 1, first FLOOR_max nohead dt 2 lw 0.8 lc rgb soft
    set label 3 "held-out images" at graph 1, first FLOOR_max right offset 0, 0.45 font ",8.5" front textcolor rgb soft
}
if (k == 1 && !exists("HIT_max") || k == 2 && !exists("MSE_max")) {
    set label 3 "not measured" at graph 0.5, graph 0.5 center font ",10" front textcolor rgb soft
}
if (k == panels) {
    set xlabel x_title offset 0, 0.2 textcolor rgb ink
    set format x "%g"
}
