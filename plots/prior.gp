# Hit rate by where sampling starts, one bar a prior, in the order of the file. The specificity figure.
load "plots/style.gp"

set lmargin at screen 0.30
set tmargin at screen top + half_pixel(15)
set bmargin at screen bottom
unset label 5
set grid noytics xtics
set xrange [0:1.02]
set xtics 0, 0.25, 1
set xlabel "hit rate h" textcolor rgb ink
stats data using (column("hit")) nooutput name "HIT"
set yrange [HIT_records + 0.5:0.5]
set ytics scale 0
plot data using (column("hit")):($0 + 1):(0):(column("hit")):($0 + 0.66):($0 + 1.34):ytic(strcol("label")) \
         with boxxyerror lc rgb colour[1], \
     data using (column("hit_lo")):($0 + 1):(column("hit_hi") - column("hit_lo")):(0) with vectors nohead lc rgb ink lw 0.9
