# Bars of hit rate, MSE and Frechet distance: groups along x, one colour a member. Figure 5: groups are poison rates,
# members the kinds of clipping.
# Also set by the caller: by_group, by_member (columns), groups, members (their values, blanks between them), names
# (what the members are called), group_title.
load "plots/style.gp"

n_groups = words(groups)
n_members = words(members)
value_of(i, j, y) = strcol(by_group) eq word(groups, i) && strcol(by_member) eq word(members, j) ? y : NaN
width_of = 0.8 / n_members
x_of(i, j) = i + (j - (n_members + 1) / 2.0) * width_of

set multiplot
set xrange [0.4:n_groups + 0.5 + 0.2 * n_groups] # the right end is for the words on the dashed lines
set boxwidth width_of * 0.9
set xtics nomirror out scale 0 ("" 1)
set for [i = 1:n_groups] xtics add ("" i)

# 1 hit rate
set tmargin at screen panel_top(1, 3)
set bmargin at screen panel_bottom(1, 3)
set label 5 "hit rate h" at screen 0.022, middle_of(1, 3)
set yrange [0:1.04]
set ytics 0, 0.25, 1
if (n_members > 1) { set key at screen 0.965, key_height right center horizontal samplen 1 textcolor rgb ink }
plot for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(value_of(i, j, column("hit"))) with boxes lc rgb colour[j], \
     for [j = 1:n_members] for [i = 1:n_groups] data \
         using (x_of(i, j)):(value_of(i, j, column("hit_lo"))):(0):(column("hit_hi") - column("hit_lo")) \
         with vectors nohead lc rgb ink lw 0.9, \
     for [j = 1:n_members] NaN with boxes lc rgb colour[j] title (n_members > 1 ? word(names, j) : "")
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
plot for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(value_of(i, j, column("mse"))) with boxes lc rgb colour[j], \
     (one_target ? BLACK_max : NaN) with lines dt 1 lw 0.8 lc rgb soft, \
     (one_target ? FLAT_max : NaN) with lines dt 2 lw 0.8 lc rgb soft
unset label 3
unset label 4

# 3 Frechet distance of the clean samples
set tmargin at screen panel_top(3, 3)
set bmargin at screen panel_bottom(3, 3)
set label 5 "FCD, clean samples" at screen 0.022, middle_of(3, 3)
set xlabel group_title offset 0, 0.2 textcolor rgb ink
set for [i = 1:n_groups] xtics add (word(groups, i) i)
set yrange [0:fcd_top]
if (exists("FLOOR_max")) {
    set label 3 "held-out images" at graph 1, first FLOOR_max right offset 0, 0.45 font ",8" front textcolor rgb soft
}
plot for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(value_of(i, j, column("fcd"))) with boxes lc rgb colour[j], \
     (exists("FLOOR_max") ? FLOOR_max : NaN) with lines dt 2 lw 0.8 lc rgb soft
unset multiplot
