# A sample sheet with words: grids/RECIPE.png pixel for pixel, what each row is at its left, what the two halves are above.
# Set by the caller: sheet (PNG), out, sheet_w, sheet_h, heading, caption, left (width of the words), rows (how many), row_1 ...
# row_N (their words), split (x of the right half, 0: none), over_left, over_right (words above the halves), columns (of a
# gallery: how many targets), column_1 ... (their names), groups (of restored pictures: how many kinds), group_1 ... (their names).
set encoding utf8
head = 84; foot = 46; margin = 24
w = left + sheet_w + margin > 480 ? left + sheet_w + margin : 480; h = head + sheet_h + foot
set terminal pngcairo enhanced font "DejaVu Sans,13" size w,h background rgb "white"
set output out
ink = "#333333"; soft = "#666666"
# A picture's pixels must lie on those of the canvas, or cairo blends them; the canvas counts in twentieths, from 0. The
# style "pixels" would blend a quarter of white into everything.
px(x) = 20.0 * x / (20 * w - 1)
py(y) = 20.0 * (h - y) / (20 * h - 1)
unset key
unset border
unset tics
set lmargin at screen px(left)
set rmargin at screen px(left + sheet_w)
set tmargin at screen py(head)
set bmargin at screen py(head + sheet_h)
set xrange [-0.5:sheet_w - 0.5]
set yrange [-0.5:sheet_h - 0.5]
set label 1 heading at screen px(margin), py(26) left font "DejaVu Sans Bold,17" textcolor rgb ink
set label 2 over_left at screen px(left), py(head - 14) left textcolor rgb soft
if (split > 0) { set label 3 over_right at screen px(left + split), py(head - 14) left textcolor rgb soft }
set label 4 caption at screen px(margin), py(head + sheet_h + 24) left font "DejaVu Sans,11" textcolor rgb soft
do for [i = 1:rows] {
    set label 4 + i value(sprintf("row_%d", i)) at screen px(margin), py(head - 8 + (i - 0.5) * sheet_h / rows) left textcolor rgb ink
}
field = columns > 0 ? (sheet_w - 8.0) / (columns + 1) : 0 # a picture and the line behind it; the gap is 10 wide
do for [i = 1:columns] {
    set label 4 + rows + i value(sprintf("column_%d", i)) at screen px(left + 10 + field * (i + 0.48)), py(head - 14) center \
        font "DejaVu Sans,11" textcolor rgb soft
}
# Of restored pictures: equal groups of fields, 10 apart, a word above each
do for [i = 1:groups] {
    set label 4 + rows + columns + i value(sprintf("group_%d", i)) \
        at screen px(left + (i - 0.5) * (sheet_w - 10.0 * (groups - 1)) / groups + 10 * (i - 1)), py(head - 14) center textcolor rgb soft
}
plot sheet binary filetype=png with rgbimage
