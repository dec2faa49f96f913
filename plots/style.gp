# Look shared by all figures. The caller (scripts/figures) sets: data (file made by plots/extract.awk), out (PNG),
# heading, caption (two lines), width, height (half pixels).
set encoding utf8
set terminal pngcairo enhanced font "DejaVu Sans,10" size width*2,height*2 fontscale 2 linewidth 2 pointscale 2 \
    background rgb "white"
set output out
set datafile separator tab
set datafile missing "?"

# Okabe & Ito: distinguishable with colour-blindness and in grey
array colour[6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
array mark[6] = [7, 5, 9, 13, 11, 15]
ink = "#333333"
soft = "#666666"

set border 3 linecolor rgb ink linewidth 0.8
set tics nomirror out scale 0.5 textcolor rgb ink
set grid ytics linetype 1 linecolor rgb "#e9e9e9" linewidth 0.5
set key noautotitle
set style fill solid 0.85 noborder
set bars 0.6

# Largest and smallest value of a column, 0 and NaN when it is empty
stats data using (column("mse_black")) nooutput name "BLACK"
stats data using (column("mse_flat")) nooutput name "FLAT"
stats data using (column("mse")) nooutput name "MSE"
stats data using (column("fcd")) nooutput name "FCD"
stats data using (column("fcd_floor")) nooutput name "FLOOR"
largest(a, b) = a > b ? a : b
one_target = exists("BLACK_max") && BLACK_max == BLACK_min
mse_top = 1.15 * largest(exists("MSE_max") ? MSE_max : 0.1, exists("BLACK_max") ? BLACK_max : 0)
fcd_top = 1.15 * largest(exists("FCD_max") ? FCD_max : 1, exists("FLOOR_max") ? FLOOR_max : 0)

set dashtype 1 (14, 9)
set dashtype 2 (6, 6)

# Heading above and caption below everything; panels (counted from the top) between them
half_pixel(y) = y / (1.0 * height)
top = 1 - half_pixel(74)
bottom = half_pixel(104)
key_height = 1 - half_pixel(55)
set lmargin at screen 0.14
set rmargin at screen 0.965
# 52 letters fit at size 13; a longer heading gets smaller ones
heading_size = strlen(heading) > 52 ? 13.0 * 52 / strlen(heading) : 13
set label 1 heading at screen 0.02, 1 - half_pixel(22) left font sprintf("DejaVu Sans Bold,%g", heading_size) textcolor rgb ink
set label 2 caption at screen 0.02, half_pixel(34) left font "DejaVu Sans,8" textcolor rgb soft
panel_gap = 0.04
panel_height(panels) = (top - bottom - (panels - 1) * panel_gap) / panels
panel_top(k, panels) = top - (k - 1) * (panel_height(panels) + panel_gap)
panel_bottom(k, panels) = panel_top(k, panels) - panel_height(panels)

set label 5 "" at screen 0.022, 0.5 center rotate textcolor rgb ink # the panel's own y label, at one place for all
middle_of(k, panels) = (panel_top(k, panels) + panel_bottom(k, panels)) / 2
