# Against the poison rate: hit rate, MSE and Frechet distance, one colour a series. Figures 2 and 3.
# Also set by the caller: by (the column that tells the series), series (its values, blanks between them), names (what
# they are called, in the same order).
load "plots/style.gp"

n = words(series)
of(i, y) = strcol(by) eq word(series, i) ? y : NaN
rate(_) = 100 * column("poison_rate")

set multiplot
set xrange [-2.5:102.5]
set xtics 0, 10, 100
set format x ""

# 1 hit rate
set tmargin at screen panel_top(1, 3)
set bmargin at screen panel_bottom(1, 3)
set label 5 "hit rate h" at screen 0.022, middle_of(1, 3)
set yrange [-0.04:1.04]
set ytics 0, 0.25, 1
if (n > 1) { set key at screen 0.965, key_height right center horizontal samplen 1.2 textcolor rgb ink }
plot for [i = 1:n] data using (rate(0)):(of(i, column("hit"))) smooth unique with lines lc rgb colour[i] lw 1.2, \
     for [i = 1:n] data using (rate(0)):(of(i, column("hit"))):(column("hit_lo")):(column("hit_hi")) \
         with yerrorbars lc rgb colour[i] lw 0.8 pt mark[i] ps 0.7, \
     for [i = 1:n] NaN with linespoints lc rgb colour[i] lw 1.2 pt mark[i] ps 0.7 title (n > 1 ? word(names, i) : "")
unset label 1
unset label 2
unset key

# 2 MSE to the target, and what images that know nothing of it score
set tmargin at screen panel_top(2, 3)
set bmargin at screen panel_bottom(2, 3)
set label 5 "MSE to target" at screen 0.022, middle_of(2, 3)
set yrange [0:mse_top]
set ytics auto
if (one_target) {
    set label 3 "all black" at graph 1, first BLACK_max right offset 0, 0.45 font ",8" front textcolor rgb soft
    set label 4 "best flat grey" at graph 1, first FLAT_max right offset 0, 0.45 font ",8" front textcolor rgb soft
}
plot (one_target ? BLACK_max : NaN) with lines dt 1 lw 0.8 lc rgb soft, \
     (one_target ? FLAT_max : NaN) with lines dt 2 lw 0.8 lc rgb soft, \
     for [i = 1:n] data using (rate(0)):(one_target ? NaN : of(i, column("mse_black"))) smooth unique with lines \
         dt 1 lw 0.8 lc rgb colour[i], \
     for [i = 1:n] data using (rate(0)):(one_target ? NaN : of(i, column("mse_flat"))) smooth unique with lines \
         dt 2 lw 0.8 lc rgb colour[i], \
     for [i = 1:n] data using (rate(0)):(of(i, column("mse"))) smooth unique with lines lc rgb colour[i] lw 1.2, \
     for [i = 1:n] data using (rate(0)):(of(i, column("mse"))) with points lc rgb colour[i] pt mark[i] ps 0.7
unset label 3
unset label 4

# 3 Frechet distance of the clean samples
set tmargin at screen panel_top(3, 3)
set bmargin at screen panel_bottom(3, 3)
set label 5 "FCD, clean samples" at screen 0.022, middle_of(3, 3)
set xlabel "poison rate (% of the training images)" offset 0, 0.2 textcolor rgb ink
set format x "%g"
set yrange [0:fcd_top]
if (exists("FLOOR_max")) {
    set label 3 "held-out images" at graph 1, first FLOOR_max right offset 0, 0.45 font ",8" front textcolor rgb soft
}
plot (exists("FLOOR_max") ? FLOOR_max : NaN) with lines dt 2 lw 0.8 lc rgb soft, \
     for [i = 1:n] data using (rate(0)):(of(i, column("fcd"))) smooth unique with lines lc rgb colour[i] lw 1.2, \
     for [i = 1:n] data using (rate(0)):(of(i, column("fcd"))) with points lc rgb colour[i] pt mark[i] ps 0.7
unset multiplot
