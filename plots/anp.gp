# Neuron perturbation, epoch by epoch: MSE of samples from plain noise to the target (solid) and the standard deviation of
# their pixels (dotted), a column a model, a row a learning rate, a colour a budget. Several seeds are averaged.
# Also set by the caller: models ("none" = not fine-tuned, else the poison rate), lrs, budgets (lists, blanks between).
load "plots/style.gp"

n_models = words(models)
n_lrs = words(lrs)
n_budgets = words(budgets)
of_model(m) = word(models, m) eq "none" ? strcol("from") eq "none" : strcol("from") ne "none" && strcol("poison_rate") eq word(models, m)
of(m, l, b, y) = of_model(m) && strcol("lr") eq word(lrs, l) && strcol("budget") eq word(budgets, b) ? y : NaN
title_of(m) = word(models, m) eq "none" ? "not fine-tuned" : sprintf("%g %% poison", 100 * real(word(models, m)))

stats data using (column("deviation")) nooutput name "DEVIATION"
stats data using (column("epoch")) nooutput name "EPOCH"
set dashtype 3 (2, 3)
left = 0.14
gap = 0.035
panel_width = (0.965 - left - (n_models - 1) * gap) / n_models
set yrange [0:1.1 * largest(MSE_max, largest(FLAT_max, DEVIATION_max))]
set ytics auto
set xrange [0:EPOCH_max]
every_x = EPOCH_max > 12 ? 10 : EPOCH_max > 6 ? 2 : 1
set xtics 0, every_x

set multiplot
# a key of words: one of samples would have the width of a panel only
if (n_budgets > 1) {
    do for [b = 1:n_budgets] {
        tag = 7 + b
        set label tag sprintf("%s%s", b == 1 ? "budget " : "", word(budgets, b)) at screen 0.965 - 0.05 * (n_budgets - b), key_height right textcolor rgb colour[b]
    }
}
do for [l = 1:n_lrs] {
    set tmargin at screen panel_top(l, n_lrs) - half_pixel(14)
    set bmargin at screen panel_bottom(l, n_lrs)
    set label 5 "MSE, deviation (lr " . word(lrs, l) . ")" at screen 0.022, middle_of(l, n_lrs) font ",9"
    do for [m = 1:n_models] {
        set lmargin at screen left + (m - 1) * (panel_width + gap)
        set rmargin at screen left + (m - 1) * (panel_width + gap) + panel_width
        set format y (m == 1 ? "%g" : "")
        set format x (l == n_lrs ? "%g" : "")
        set label 6 (l == 1 ? title_of(m) : " ") at graph 0, 1 left offset 0, 0.6 font ",8.5" textcolor rgb ink
        unset label 7
        if (l == n_lrs && m == 1) { set label 7 "epoch of perturbation (0: before)" at screen (left + 0.965) / 2, bottom - half_pixel(40) center textcolor rgb ink }
        unset label 3
        if (l == 1 && m == n_models) { set label 3 "best flat grey" at graph 1, first FLAT_max right offset 0, 0.45 font ",8" front textcolor rgb soft }
        plot FLAT_max with lines dt 2 lw 0.8 lc rgb soft, \
             for [b = 1:n_budgets] data using (column("epoch")):(of(m, l, b, column("deviation"))) smooth unique with lines \
                 lc rgb colour[b] lw 1 dt 3, \
             for [b = 1:n_budgets] data using (column("epoch")):(of(m, l, b, column("mse"))) smooth unique with linespoints \
                 lc rgb colour[b] lw 1.2 pt mark[b] ps 0.4
        if (l == 1 && m == 1) { unset label 1; unset label 2; do for [b = 1:n_budgets] { tag = 7 + b; unset label tag } }
    }
}
unset multiplot
