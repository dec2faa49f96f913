# Look shared by all figures. The caller (scripts/figures) sets: data (file made by plots/extract.awk), paper (the same of
# the paper's numbers, or ""), out (PNG), heading, caption (its lines), caption_lines, width, height (half pixels), quality
# (column of the third panel, or "") and quality_label.
set encoding utf8
set terminal pngcairo enhanced font "DejaVu Sans,11" size width*2,height*2 fontscale 2 linewidth 2 pointscale 2 \
    background rgb "white"
set output out
set datafile separator tab
set datafile missing NaN # a line goes on behind a row that is not of its series

# Okabe & Ito: distinguishable with colour-blindness and in grey. open_mark: the paper's numbers.
array colour[6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
array mark[6] = [7, 5, 9, 13, 11, 15]
array open_mark[6] = [6, 4, 8, 12, 10, 14]
ink = "#333333"
soft = "#666666"

set border 3 linecolor rgb ink linewidth 0.8
set tics nomirror out scale 0.5 textcolor rgb ink font ",10"
set grid ytics linetype 1 linecolor rgb "#e9e9e9" linewidth 0.5
set key noautotitle font ",9.5"
set style fill solid 0.85 noborder
set bars 0.6
set dashtype 1 (14, 9)
set dashtype 2 (6, 6)

# Largest and smallest value of a column; the names do not exist when it is empty
stats data using (column("hit")) nooutput name "HIT"
stats data using (column("mse_black")) nooutput name "BLACK"
stats data using (column("mse_flat")) nooutput name "FLAT"
stats data using (column("mse")) nooutput name "MSE"
if (quality ne "") { stats data using (column(quality)) nooutput name "QUALITY" }
if (quality eq "fcd") { stats data using (column("fcd_floor")) nooutput name "FLOOR" }
if (paper ne "") {
    stats paper using (column("mse")) nooutput name "PAPER_MSE"
    if (quality ne "") { stats paper using (column(quality)) nooutput name "PAPER_QUALITY" }
}
largest(a, b) = a > b ? a : b
one_target = exists("BLACK_max") && BLACK_max == BLACK_min
mse_top = 1.18 * largest(largest(exists("MSE_max") ? MSE_max : 0.1, exists("BLACK_max") ? BLACK_max : 0), \
                         exists("PAPER_MSE_max") ? PAPER_MSE_max : 0)
quality_top = 1.18 * largest(largest(exists("QUALITY_max") ? QUALITY_max : 1, exists("FLOOR_max") ? FLOOR_max : 0), \
                             exists("PAPER_QUALITY_max") ? PAPER_QUALITY_max : 0)

# Heading above and caption below everything; panels (counted from the top) between them
half_pixel(y) = y / (1.0 * height)
top = 1 - half_pixel(78)
bottom = half_pixel(74 + 15 * caption_lines)
key_height = 1 - half_pixel(58)
set lmargin at screen 0.215
set rmargin at screen 0.965
# 40 letters fit at size 13 in 480 half pixels; a longer heading gets smaller ones
letters = width / 12.0
heading_size = strlen(heading) > letters ? 13.0 * letters / strlen(heading) : 13
set label 1 heading at screen 0.02, 1 - half_pixel(22) left font sprintf("DejaVu Sans Bold,%g", heading_size) textcolor rgb ink
set label 2 caption at screen 0.02, half_pixel(15 * caption_lines - 3) left font "DejaVu Sans,8.5" textcolor rgb soft
panels = quality eq "" ? 2 : 3
panel_gap = half_pixel(22)
panel_height(n) = (top - bottom - (n - 1) * panel_gap) / n
panel_top(k, n) = top - (k - 1) * (panel_height(n) + panel_gap)
panel_bottom(k, n) = panel_top(k, n) - panel_height(n)
middle_of(k, n) = (panel_top(k, n) + panel_bottom(k, n)) / 2

array y_label[3] = ["hit rate h\n(share of samples)", "MSE to target\n(pixels in [0, 1])", quality_label]
set label 5 "" at screen 0.04, 0.5 center rotate textcolor rgb ink font ",9.5" # one place for all panels
