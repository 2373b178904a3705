#!/usr/bin/env bash
# Draws the figures of a run again from their scripts and data: tools/figures.sh RUN
# RUN is the folder of a run, or of figures alone.
set -u
run=${1:-}
if [ -z "$run" ]; then echo 'which run? make figures RUN=results/NAME' >&2; exit 2; fi
folder=$run/figures
[ -d "$folder" ] || folder=$run
shopt -s nullglob
scripts=("$folder"/*.gp)
if [ ${#scripts[@]} -eq 0 ]; then
    echo "no figures (*.gp) in $run/figures: RUN names the folder of a run, such as results/NAME" >&2
    exit 1
fi
if ! command -v gnuplot >/dev/null; then
    echo 'gnuplot is not installed (Debian: apt-get install gnuplot-nox)' >&2
    exit 1
fi
cd "$folder" || exit 1
bad=0
for script in *.gp; do
    if gnuplot -d "./$script"; then echo "drawn $folder/${script%.gp}.{png,pdf}"
    else echo "gnuplot failed: $folder/$script" >&2; bad=1; fi
done
exit $bad
