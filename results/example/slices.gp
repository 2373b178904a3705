# Redraw in this folder: gnuplot -d slices.gp
set encoding utf8
set datafile separator tab
set border 3 lw 1 lc rgb '#333333'
set tics nomirror out scale 0.5
set grid noxtics noytics lc rgb '#dddddd' lt 1 lw 0.7
set style line 1 lt 1 lw 2 pt 7 ps 0.4
set palette maxcolors 0 defined (0 '#440154', 1 '#48186a', 2 '#472d7b', 3 '#424086', 4 '#3b528b', 5 '#33638d', 6 '#2c728e', 7 '#26828e', 8 '#21918c', 9 '#1fa088', 10 '#28ae80', 11 '#3fbc73', 12 '#5ec962', 13 '#84d44b', 14 '#addc30', 15 '#d8e219', 16 '#fde725')
set palette negative
set cbrange [0:19]
set cblabel 'trial' offset 1.2,0
unset key
set xtics offset 0,0.4 font ',6'
set ytics font ',6'
set yrange [0.0287842669845:0.549284862932]
set cbtics scale 0 offset -0.7,0 font ',6'
set cbtics ('0' 0, '5' 5, '10' 10, '15' 15)
set terminal pngcairo noenhanced size 2126,988 font 'DejaVu Sans,7' fontscale 3.125 linewidth 2.08333 pointscale 4.16667
set output 'slices.png'
set multiplot
unset label
unset logscale x
set lmargin at screen 0.06193
set rmargin at screen 0.25725
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set logscale x
set xrange [7.07945784384e-06:0.0141253754462]
set xtics ('1e-5' 1e-05, '0.0001' 0.0001, '0.001' 0.001, '0.01' 0.01)
set ytics ('0.2' 0.2, '0.4' 0.4)
set label "train.lr" at screen 0.15959, screen 0.90084 center font ',6'
set label "value" at screen 0.01568, graph 0.5 center rotate by 90 font ',6'
set label "Complete trials over each parameter" at screen 0.5, screen 0.96624 center font ',7'
set colorbox user origin 0.91769,0.55274 size 0.01176,0.32911 noborder
plot 'slices.dat' index 0 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.27489
set rmargin at screen 0.47021
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [54.4:265.6]
set xtics ('100' 100, '200' 200)
set ytics ('' 0.2, '' 0.4)
set label "model.latent_dim" at screen 0.37255, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 1 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.48785
set rmargin at screen 0.68317
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [-0.0145:0.5245]
set xtics ('0' 0, '0.2' 0.2, '0.4' 0.4)
set ytics ('' 0.2, '' 0.4)
set label "train.adv_lambda" at screen 0.58551, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 2 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.70081
set rmargin at screen 0.89613
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [13.6:66.4]
set xtics ('20' 20, '40' 40, '60' 60)
set ytics ('' 0.2, '' 0.4)
set label "model.latents" at screen 0.79847, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 3 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.06193
set rmargin at screen 0.25725
set bmargin at screen 0.09283
set tmargin at screen 0.42194
set xrange [0.08:0.52]
set xtics ('0.2' 0.2, '0.4' 0.4)
set ytics ('0.2' 0.2, '0.4' 0.4)
set label "model.dropout" at screen 0.15959, screen 0.44093 center font ',6'
set label "value" at screen 0.01568, graph 0.5 center rotate by 90 font ',6'
unset colorbox
plot 'slices.dat' index 4 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset multiplot
set terminal pdfcairo noenhanced size 7.0866in,3.2917in font 'DejaVu Sans,7' fontscale 0.75
set output 'slices.pdf'
set multiplot
unset label
unset logscale x
set lmargin at screen 0.06193
set rmargin at screen 0.25725
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set logscale x
set xrange [7.07945784384e-06:0.0141253754462]
set xtics ('1e-5' 1e-05, '0.0001' 0.0001, '0.001' 0.001, '0.01' 0.01)
set ytics ('0.2' 0.2, '0.4' 0.4)
set label "train.lr" at screen 0.15959, screen 0.90084 center font ',6'
set label "value" at screen 0.01568, graph 0.5 center rotate by 90 font ',6'
set label "Complete trials over each parameter" at screen 0.5, screen 0.96624 center font ',7'
set colorbox user origin 0.91769,0.55274 size 0.01176,0.32911 noborder
plot 'slices.dat' index 0 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.27489
set rmargin at screen 0.47021
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [54.4:265.6]
set xtics ('100' 100, '200' 200)
set ytics ('' 0.2, '' 0.4)
set label "model.latent_dim" at screen 0.37255, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 1 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.48785
set rmargin at screen 0.68317
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [-0.0145:0.5245]
set xtics ('0' 0, '0.2' 0.2, '0.4' 0.4)
set ytics ('' 0.2, '' 0.4)
set label "train.adv_lambda" at screen 0.58551, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 2 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.70081
set rmargin at screen 0.89613
set bmargin at screen 0.55274
set tmargin at screen 0.88186
set xrange [13.6:66.4]
set xtics ('20' 20, '40' 40, '60' 60)
set ytics ('' 0.2, '' 0.4)
set label "model.latents" at screen 0.79847, screen 0.90084 center font ',6'
unset colorbox
plot 'slices.dat' index 3 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset label
unset logscale x
set lmargin at screen 0.06193
set rmargin at screen 0.25725
set bmargin at screen 0.09283
set tmargin at screen 0.42194
set xrange [0.08:0.52]
set xtics ('0.2' 0.2, '0.4' 0.4)
set ytics ('0.2' 0.2, '0.4' 0.4)
set label "model.dropout" at screen 0.15959, screen 0.44093 center font ',6'
set label "value" at screen 0.01568, graph 0.5 center rotate by 90 font ',6'
unset colorbox
plot 'slices.dat' index 4 using 2:3:1 with points pt 7 ps 0.4 lc palette
unset multiplot
