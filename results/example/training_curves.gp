# Redraw in this folder: gnuplot training_curves.gp
set xlabel 'epoch'
set ylabel 'accuracy (%)' noenhanced
set title 'Accuracy of donor_id' noenhanced
set key outside below horizontal
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set offsets 0.3, 0.3, 0, 0
set terminal pngcairo size 900,640 font 'DejaVu Sans,14'
set output 'training_curves.png'
plot 'training_curves.dat' using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#0072B2' title 'train', \
     'training_curves.dat' using 1:3 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#D55E00' title 'validation'
set terminal pdfcairo size 9cm,6.5cm font 'DejaVu Sans,9'
set output 'training_curves.pdf'
plot 'training_curves.dat' using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#0072B2' title 'train', \
     'training_curves.dat' using 1:3 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#D55E00' title 'validation'
