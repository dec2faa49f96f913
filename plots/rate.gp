# Against the poison rate: hit rate, MSE and quality of clean samples, one colour a series. Figures 2 and 3.
# Also set by the caller: by (the column that tells the series), series (its values, blanks between them), names (what
# they are called, in the same order).
load "plots/style.gp"

n = words(series)
of(i, y) = strcol(by) eq word(series, i) ? y : NaN
of_paper(i, y) = paper ne "" && (strcol(by) eq word(series, i) || strcol(by) eq "NaN" && i == 1) ? y : NaN
paper_data = paper eq "" ? data : paper
rate(_) = 100 * column("poison_rate")

set multiplot
set xrange [-2.5:102.5]
set xtics 0, 20, 100
set mxtics 2
set format x ""
x_title = "poison rate (% of the training images)"

k = 1; load "plots/panel.gp"
if (n > 1 || paper ne "") { set key at screen 0.965, key_height right center horizontal samplen 1.2 textcolor rgb ink }
plot for [i = 1:n] data using (rate(0)):(of(i, column("hit"))) smooth unique with lines lc rgb colour[i] lw 1.2, \
     for [i = 1:n] data using (rate(0)):(of(i, column("hit"))):(column("hit_lo")):(column("hit_hi")) \
         with yerrorbars lc rgb colour[i] lw 0.8 pt mark[i] ps 0.7, \
     for [i = 1:n] paper_data using (rate(0)):(of_paper(i, column("hit"))) \
         with points lc rgb colour[i] pt open_mark[i] ps 1.1 lw 1.2, \
     for [i = 1:n] NaN with linespoints lc rgb colour[i] lw 1.2 pt mark[i] ps 0.7 title (n > 1 ? word(names, i) : paper ne "" ? "ours" : ""), \
     NaN with points lc rgb (n > 1 ? soft : colour[1]) pt open_mark[1] ps 1.1 lw 1.2 title (paper ne "" ? "paper" : "")

k = 2; load "plots/panel.gp"
plot for [i = 1:n] data using (rate(0)):(one_target ? NaN : of(i, column("mse_black"))) smooth unique with lines \
         dt 1 lw 0.8 lc rgb colour[i], \
     for [i = 1:n] data using (rate(0)):(one_target ? NaN : of(i, column("mse_flat"))) smooth unique with lines \
         dt 2 lw 0.8 lc rgb colour[i], \
     for [i = 1:n] data using (rate(0)):(of(i, column("mse"))) smooth unique with lines lc rgb colour[i] lw 1.2, \
     for [i = 1:n] data using (rate(0)):(of(i, column("mse"))) with points lc rgb colour[i] pt mark[i] ps 0.7, \
     for [i = 1:n] paper_data using (rate(0)):(of_paper(i, column("mse"))) \
         with points lc rgb colour[i] pt open_mark[i] ps 1.1 lw 1.2

if (panels == 3) {
    k = 3; load "plots/panel.gp"
    plot for [i = 1:n] data using (rate(0)):(of(i, column(quality))) smooth unique with lines lc rgb colour[i] lw 1.2, \
         for [i = 1:n] data using (rate(0)):(of(i, column(quality))) with points lc rgb colour[i] pt mark[i] ps 0.7, \
         for [i = 1:n] paper_data using (rate(0)):(of_paper(i, column(quality))) \
             with points lc rgb colour[i] pt open_mark[i] ps 1.1 lw 1.2
}
unset multiplot
