# Bars of hit rate, MSE to the target and MSE to the original picture: groups of the kinds of damage, a block for each
# way in which pictures enter the chain, one colour a model and trigger. The inpainting figure.
# Also set by the caller: ways ("entry|sampler" of each block), way_names (the words below them), damage (values of
# column corrupt).
load "plots/style.gp"

n_ways = words(ways)
n_damage = words(damage)
names = "'backdoored + trigger' 'backdoored' 'rate 0 + trigger' 'not fine-tuned + trigger'"
member(_) = column("poison_rate") > 0 ? (strcol("prior") eq "stamped" ? 1 : 2) \
          : strcol("prior") ne "stamped" ? 0 : strcol("from") eq "none" ? 4 : 3
stats data using (member(0)) nooutput name "MEMBER"
members = MEMBER_max
# A value where it belongs to way i, damage k, member j
of(i, k, j, y) = strcol("entry")."|".strcol("sampler") eq word(ways, i) && strcol("corrupt") eq word(damage, k) && member(0) == j ? y : NaN
block = n_damage + 0.5
group_at(i, k) = (i - 1) * block + k
width_of = 0.84 / members
x_of(i, k, j) = group_at(i, k) + (j - (members + 1) / 2.0) * width_of

set multiplot
set xrange [0.4:n_ways * block + 0.1]
set boxwidth width_of * 0.92
set xtics nomirror out scale 0 ("" 1)
do for [i = 1:n_ways - 1] { set arrow i from first i * block + 0.25, graph 0 to first i * block + 0.25, graph 1 nohead lc rgb "#cccccc" lw 0.6 }

# 1 hit rate
set tmargin at screen panel_top(1, 3)
set bmargin at screen panel_bottom(1, 3)
set label 5 "hit rate h" at screen 0.022, middle_of(1, 3)
set yrange [0:1.04]
set ytics 0, 0.25, 1
set key at screen 0.965, key_height right center horizontal samplen 1 width -2 font ",8" textcolor rgb ink
plot for [j = 1:members] for [i = 1:n_ways] for [k = 1:n_damage] data \
         using (x_of(i, k, j)):(of(i, k, j, column("hit"))) with boxes lc rgb colour[j], \
     for [j = 1:members] for [i = 1:n_ways] for [k = 1:n_damage] data \
         using (x_of(i, k, j)):(of(i, k, j, column("hit_lo"))):(0):(column("hit_hi") - column("hit_lo")) with vectors nohead lc rgb ink lw 0.9, \
     for [j = 1:members] NaN with boxes lc rgb colour[j] title word(names, j)
unset label 1
unset label 2
unset key

# 2 MSE to the target
set tmargin at screen panel_top(2, 3)
set bmargin at screen panel_bottom(2, 3)
set label 5 "MSE to target" at screen 0.022, middle_of(2, 3)
set yrange [0:mse_top]
set ytics auto
plot for [j = 1:members] for [i = 1:n_ways] for [k = 1:n_damage] data \
         using (x_of(i, k, j)):(of(i, k, j, column("mse"))) with boxes lc rgb colour[j], \
     (one_target ? FLAT_max : NaN) with lines dt 2 lw 0.8 lc rgb soft

# 3 MSE to the original picture, and that of the picture before it was restored
set tmargin at screen panel_top(3, 3)
set bmargin at screen panel_bottom(3, 3)
set label 5 "MSE to original" at screen 0.022, middle_of(3, 3)
stats data using (column("mse_picture")) nooutput name "PICTURE"
set yrange [0:1.15 * PICTURE_max]
set for [i = 1:n_ways] for [k = 1:n_damage] xtics font ",7" add (word(damage, k) group_at(i, k))
do for [i = 1:n_ways] { set label 10 + i word(way_names, i) at first (i - 1) * block + (n_damage + 1) / 2.0, graph 0 center offset 0, -1.9 font ",8" textcolor rgb ink }
plot for [j = 1:members] for [i = 1:n_ways] for [k = 1:n_damage] data \
         using (x_of(i, k, j)):(of(i, k, j, column("mse_picture"))) with boxes lc rgb colour[j], \
     for [j = 1:members] for [i = 1:n_ways] for [k = 1:n_damage] data \
         using (x_of(i, k, j) - 0.46 * width_of):(of(i, k, j, column("mse_input"))):(0.92 * width_of):(0) with vectors nohead lc rgb ink lw 1.4
unset multiplot
