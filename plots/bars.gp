# Bars of hit rate, MSE and quality of clean samples: groups along x, one colour a member. Figure 5: groups are poison
# rates, members the kinds of clipping.
# Also set by the caller: by_group, by_member (columns), groups, members (their values, blanks between them), names
# (what the members are called), group_title.
load "plots/style.gp"

n_groups = words(groups)
n_members = words(members)
of(i, j, y) = strcol(by_group) eq word(groups, i) && strcol(by_member) eq word(members, j) ? y : NaN
of_paper(i, j, y) = paper ne "" ? of(i, j, y) : NaN
paper_data = paper eq "" ? data : paper
width_of = 0.8 / n_members
x_of(i, j) = i + (j - (n_members + 1) / 2.0) * width_of
numbers = n_groups * n_members <= 8 # more have no room to be written
text_of(y) = numbers && valid(1) ? sprintf("%.2g", y) : ""

set multiplot
set xrange [0.4:n_groups + 0.5 + 0.34 * n_groups] # the right end is for the words on the dashed lines
set boxwidth width_of * 0.9
set xtics nomirror out scale 0 ("" 1)
set for [i = 1:n_groups] xtics add ("" i)
x_title = group_title

k = 1; load "plots/panel.gp"
set yrange [0:1.2]
if (n_members > 1 || paper ne "") { set key at screen 0.965, key_height right center horizontal samplen 1 width -1 textcolor rgb ink }
plot for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(of(i, j, column("hit"))) with boxes lc rgb colour[j], \
     for [j = 1:n_members] for [i = 1:n_groups] data \
         using (x_of(i, j)):(of(i, j, column("hit_lo"))):(0):(column("hit_hi") - column("hit_lo")) \
         with vectors nohead lc rgb ink lw 0.9, \
     for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(of(i, j, column("hit_hi"))):(text_of(column("hit"))) \
         with labels offset 0, 0.5 font ",8" textcolor rgb ink, \
     for [j = 1:n_members] for [i = 1:n_groups] paper_data using (x_of(i, j)):(of_paper(i, j, column("hit"))) \
         with points lc rgb ink pt open_mark[1] ps 1.1 lw 1.2, \
     for [j = 1:n_members] NaN with boxes lc rgb colour[j] title (n_members > 1 ? word(names, j) : "ours"), \
     NaN with points lc rgb ink pt open_mark[1] ps 1.1 lw 1.2 title (paper ne "" ? "paper" : "")

do for [k = 2:panels] {
    load "plots/panel.gp"
    if (k == panels) { set for [i = 1:n_groups] xtics add (word(groups, i) i) }
    y = k == 2 ? "mse" : quality
    plot for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(of(i, j, column(y))) with boxes lc rgb colour[j], \
         for [j = 1:n_members] for [i = 1:n_groups] data using (x_of(i, j)):(of(i, j, column(y))):(text_of(column(y))) \
             with labels offset 0, 0.5 font ",8" textcolor rgb ink, \
         for [j = 1:n_members] for [i = 1:n_groups] paper_data using (x_of(i, j)):(of_paper(i, j, column(y))) \
             with points lc rgb ink pt open_mark[1] ps 1.1 lw 1.2
}
unset multiplot
