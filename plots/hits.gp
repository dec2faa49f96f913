# Hit rate by what the rows differ in, one bar a row, in the order of the file. The specificity figure.
load "plots/style.gp"

set lmargin at screen 0.39
set tmargin at screen top + half_pixel(30)
set bmargin at screen bottom
unset label 5
set grid noytics xtics
set xrange [0:1.1]
set xtics 0, 0.25, 1
set xlabel "hit rate h (share of samples)" textcolor rgb ink
set yrange [HIT_records + 0.5:0.5]
set ytics scale 0 font ",9.5"
plot data using (column("hit")):($0 + 1):(0):(column("hit")):($0 + 0.66):($0 + 1.34):ytic(strcol("label")) \
         with boxxyerror lc rgb colour[1], \
     data using (column("hit_lo")):($0 + 1):(column("hit_hi") - column("hit_lo")):(0) with vectors nohead lc rgb ink lw 0.9, \
     data using (column("hit_hi")):($0 + 1):(sprintf("%.2g", column("hit"))) with labels left offset 0.6, 0 font ",8.5" textcolor rgb ink
