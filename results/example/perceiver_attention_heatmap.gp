# Redraw in this folder: gnuplot -d perceiver_attention_heatmap.gp
set encoding utf8
set datafile separator tab
set border 3 lw 1 lc rgb '#333333'
set tics nomirror out scale 0.5
set grid noxtics noytics lc rgb '#dddddd' lt 1 lw 0.7
set style line 1 lt 1 lw 2 pt 7 ps 0.4
set label "Attention of latents on tokens, mean over heads" at screen 0.5, screen 0.97171 center font ',7'
set lmargin at screen 0.10458
set rmargin at screen 0.77265
set bmargin at screen 0.09194
set tmargin at screen 0.92928
set xrange [-0.5:7.5]
set yrange [31.5:-0.5]
unset key
unset grid
unset tics
set border 15 lw 0.5 lc rgb '#999999'
set object rectangle from graph 0,0 to graph 1,1 fs solid noborder fc rgb '#cccccc' behind
set label "25" at screen 0.08890, first 0 right font ',6'
set label "7" at screen 0.08890, first 1 right font ',6'
set label "31" at screen 0.08890, first 2 right font ',6'
set label "18" at screen 0.08890, first 3 right font ',6'
set label "29" at screen 0.08890, first 4 right font ',6'
set label "30" at screen 0.08890, first 5 right font ',6'
set label "28" at screen 0.08890, first 6 right font ',6'
set label "9" at screen 0.08890, first 7 right font ',6'
set label "11" at screen 0.08890, first 8 right font ',6'
set label "4" at screen 0.08890, first 9 right font ',6'
set label "5" at screen 0.08890, first 10 right font ',6'
set label "21" at screen 0.08890, first 11 right font ',6'
set label "32" at screen 0.08890, first 12 right font ',6'
set label "14" at screen 0.08890, first 13 right font ',6'
set label "15" at screen 0.08890, first 14 right font ',6'
set label "8" at screen 0.08890, first 15 right font ',6'
set label "13" at screen 0.08890, first 16 right font ',6'
set label "19" at screen 0.08890, first 17 right font ',6'
set label "24" at screen 0.08890, first 18 right font ',6'
set label "17" at screen 0.08890, first 19 right font ',6'
set label "12" at screen 0.08890, first 20 right font ',6'
set label "26" at screen 0.08890, first 21 right font ',6'
set label "22" at screen 0.08890, first 22 right font ',6'
set label "10" at screen 0.08890, first 23 right font ',6'
set label "16" at screen 0.08890, first 24 right font ',6'
set label "1" at screen 0.08890, first 25 right font ',6'
set label "20" at screen 0.08890, first 26 right font ',6'
set label "2" at screen 0.08890, first 27 right font ',6'
set label "27" at screen 0.08890, first 28 right font ',6'
set label "23" at screen 0.08890, first 29 right font ',6'
set label "3" at screen 0.08890, first 30 right font ',6'
set label "6" at screen 0.08890, first 31 right font ',6'
set label "1" at first 0, screen 0.06719 center font ',6'
set label "2" at first 1, screen 0.06719 center font ',6'
set label "3" at first 2, screen 0.06719 center font ',6'
set label "4" at first 3, screen 0.06719 center font ',6'
set label "5" at first 4, screen 0.06719 center font ',6'
set label "6" at first 5, screen 0.06719 center font ',6'
set label "7" at first 6, screen 0.06719 center font ',6'
set label "8" at first 7, screen 0.06719 center font ',6'
set label "latent (clustered)" at screen 0.02156, graph 0.5 center rotate by 90
set label "token of the expression (even share: 0.125)" at screen 0.43862, screen 0.01945 center
set palette maxcolors 0 defined (0 '#440154', 1 '#48186a', 2 '#472d7b', 3 '#424086', 4 '#3b528b', 5 '#33638d', 6 '#2c728e', 7 '#26828e', 8 '#21918c', 9 '#1fa088', 10 '#28ae80', 11 '#3fbc73', 12 '#5ec962', 13 '#84d44b', 14 '#addc30', 15 '#d8e219', 16 '#fde725')
set cbrange [0.0549695581:0.237789848]
set cbtics scale 0 offset -0.7,0 tc rgb '#333333' font ',6'
set colorbox user origin 0.80401,0.50495 size 0.02352,0.42433 noborder
set cblabel "share of attention" offset -0.8,0
set terminal pngcairo noenhanced size 1063,1178 font 'DejaVu Sans,7' fontscale 3.125 linewidth 2.08333 pointscale 4.16667
set output 'perceiver_attention_heatmap.png'
plot 'perceiver_attention_heatmap.dat' index 0 using 1:2:3 with image
set terminal pdfcairo noenhanced size 3.5433in,3.9278in font 'DejaVu Sans,7' fontscale 0.75
set output 'perceiver_attention_heatmap.pdf'
plot 'perceiver_attention_heatmap.dat' index 0 using 1:2:3 with image
