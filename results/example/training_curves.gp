# Redraw in this folder: gnuplot -d training_curves.gp
set encoding utf8
set datafile separator tab
set border 3 lw 1 lc rgb '#333333'
set tics nomirror out scale 0.5
set grid noxtics noytics lc rgb '#dddddd' lt 1 lw 0.7
set style line 1 lt 1 lw 2 pt 7 ps 0.4
set label "Accuracy of donor_id" at screen 0.5, screen 0.95556 center font ',7'
set lmargin at screen 0.15679
set rmargin at screen 0.96864
set bmargin at screen 0.24444
set tmargin at screen 0.90000
set xlabel 'epoch' offset 0,0.3
set ylabel 'accuracy (%)' offset 0.8,0
set key at screen 0.5, screen 0.02 center bottom horizontal Left reverse
set grid ytics
set autoscale xfix
set offsets 0.3, 0.3, 0, 0
set terminal pngcairo noenhanced size 1063,750 font 'DejaVu Sans,7' fontscale 3.125 linewidth 2.08333 pointscale 4.16667
set output 'training_curves.png'
plot 'training_curves.dat' using 1:2 with linespoints ls 1 lc rgb '#0072B2' title 'train', \
     'training_curves.dat' using 1:3 with linespoints ls 1 lc rgb '#D55E00' title 'validation'
set terminal pdfcairo noenhanced size 3.5433in,2.5000in font 'DejaVu Sans,7' fontscale 0.75
set output 'training_curves.pdf'
plot 'training_curves.dat' using 1:2 with linespoints ls 1 lc rgb '#0072B2' title 'train', \
     'training_curves.dat' using 1:3 with linespoints ls 1 lc rgb '#D55E00' title 'validation'
