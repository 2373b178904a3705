#!/usr/bin/env bash
# Texts by a model, as a user meets them: the tool `labels`, and jobs with text.model.
set -u
czhpc=${CZHPC:-./czhpc}
work=$(mktemp -d) || exit 1
trap 'umount "$work/tiny" 2>/dev/null; rm -rf "$work"' EXIT
model=validation/fixtures/bert/fp32
small=validation/small.yaml
kind=labels

check() { # condition-status name
    if [ "$1" -eq 0 ]; then echo "ok   $kind: $2"; else echo "FAIL $kind: $2: $(head -c 300 "$work/err")"; fi
}
run() { # ranks arguments...
    local ranks=$1
    shift
    # mpirun waits for what is left of the ranks before it kills them; of one nothing is.
    OMPI_MCA_odls_base_sigkill_timeout=$((ranks > 1)) \
        timeout 120 mpirun -np "$ranks" "$czhpc" "$@" >"$work/out" 2>"$work/err" </dev/null
}
refuse() { # exit-code words arguments...
    local code=$1 words=$2
    shift 2
    for ranks in 1 3; do
        run "$ranks" "$@"
        local got=$?
        [ $got -eq "$code" ] && [ "$(grep -c 'czhpc: error:' "$work/err")" -eq 1 ] &&
            grep 'czhpc: error:' "$work/err" | grep -qF -- "$words"
        check $? "$words ($ranks), exit code $got"
    done
}
tool() { # file, and more arguments
    local file=$1
    shift
    echo labels "$file" --text-model $model --out "$work/out.h5" "$@"
}

# Windows' line ends, a byte order mark, blank lines, one label twice: seven labels.
printf '\xef\xbb\xbfneuron\r\n\r\nT cell\n  B cell \nM\xc3\xbcller cell\nneuron\nastrocyte\n\nmonocyte\n[MASK]' >"$work/l.txt"
# shellcheck disable=SC2046 # words are words
run 2 $(tool "$work/l.txt")
check $? 'a list becomes a table'
grep -q '7 vectors by .* BERT of 2 layers x 32, cased by tokenizer_config.json, \[CLS\]' "$work/err" &&
    grep -q 'stand there twice count once' "$work/err"
check $? 'and says what it did'
cp "$work/out.h5" "$work/two.h5"
# shellcheck disable=SC2046
run 1 $(tool "$work/l.txt") && h5diff -q "$work/out.h5" "$work/two.h5"
check $? 'the same on one rank'
# shellcheck disable=SC2046
run 1 $(tool "$work/l.txt" --set text.pooling=mean) && ! h5diff -q "$work/out.h5" "$work/two.h5" vectors
check $? 'another pooling gives other vectors'
# shellcheck disable=SC2046
run 1 $(tool "$work/l.txt" --set text.casing=uncased) && grep -q 'uncased, as configured' "$work/err"
check $? 'text.casing overrules the vocabulary'
[ "$(find "$work" -name '*.tmp' | wc -l)" -eq 0 ]
check $? 'nothing half written is left'

kind='labels, wrong'
: >"$work/empty.txt"
printf 'neuron\nT\xffcell\n' >"$work/latin.txt"
printf 'neuron\n\0\n' >"$work/zero.txt"
# shellcheck disable=SC2046
{
    refuse 3 'holds no label' $(tool "$work/empty.txt")
    refuse 3 'latin.txt:2:2: is not UTF-8' $(tool "$work/latin.txt")
    refuse 3 'bytes of 0' $(tool "$work/zero.txt")
    refuse 3 'is a folder' $(tool "$work")
    refuse 3 'No such file' $(tool "$work/nowhere.txt")
}
refuse 3 'configs: holds neither' labels "$work/l.txt" --text-model configs --out "$work/x.h5"
refuse 4 'cannot be written' labels "$work/l.txt" --text-model $model --out "$work/nowhere/x.h5"
refuse 2 'needs --text-model' labels "$work/l.txt" --out "$work/x.h5"
refuse 4 'is a device' labels "$work/l.txt" --text-model $model --out /dev/null
refuse 2 'l.txt is there already' labels "$work/l.txt" --text-model $model --out "$work/l.txt"
refuse 4 'is a folder' labels "$work/l.txt" --text-model $model --out "$work"
mkdir "$work/pipe"
mkfifo "$work/pipe/config.json"
refuse 3 'a device or a pipe' labels "$work/l.txt" --text-model "$work/pipe" --out "$work/x.h5"
seq 2000 >"$work/many.txt"
# A disk that is full: HDF5 itself would crash as the process ends.
mkdir "$work/tiny"
if mount -t tmpfs -o size=20k tmpfs "$work/tiny" 2>/dev/null; then
    refuse 4 'No space left' labels "$work/many.txt" --text-model $model --out "$work/tiny/x.h5"
    [ -z "$(ls "$work/tiny")" ]
    check $? 'a full disk leaves no table'
    umount "$work/tiny"
else
    echo "SKIP $kind: a full disk: no right to mount a small one"
fi
refuse 2 'needs --out' labels "$work/l.txt" --text-model $model

kind=job
# What small.yaml's labels are by a table that the tool makes and by the model itself.
run 1 $small --results "$work" --name table
sed 1d "$work/table/label_results.csv" | cut -d, -f1 | tr -d '"' >"$work/types.txt"
# shellcheck disable=SC2046
run 1 $(tool "$work/types.txt") && cp "$work/out.h5" "$work/types.h5"
check $? "a table of the job's labels"
run 2 $small --results "$work" --name by-table --set text.table="$work/types.h5"
check $? 'a job with that table'
run 2 $small --results "$work" --name by-model --text-model $model
check $? 'a job with the model'
grep -q 'Label text .* made now, 0 from' "$work/err"
check $? 'says that its vectors were made'
cmp -s "$work/by-table/predictions.csv" "$work/by-model/predictions.csv"
check $? 'both predict the same to the byte'
run 2 $small --results "$work" --name again --text-model $model/
grep -q 'Label text .* 0 made now' "$work/err" &&
    cmp -s "$work/by-model/predictions.csv" "$work/again/predictions.csv"
check $? 'the next job finds them in the cache'
! grep -q 'BERT of' "$work/err"
check $? 'and opens no model for them'
refuse 3 'text.width is 16' $small --results "$work" --name narrow-again --text-model $model --set text.width=16
run 2 $small --results "$work" --dry-run --text-model $model
check $? '--dry-run looks at the model'

kind='job, wrong'
refuse 2 'both give vectors' $small --results "$work" --text-model $model --set text.table="$work/types.h5"
rm -rf "$work/label-cache"
refuse 3 'text.width is 16' $small --results "$work" --name narrow --text-model $model --set text.width=16
refuse 3 'nowhere: cannot be read' $small --results "$work" --dry-run --text-model "$work/nowhere"
[ ! -e "$work/label-cache" ]
check $? 'a width that does not fit is found before any vector is made'
refuse 2 'is the folder of label vectors' $small --results "$work" --name label-cache
refuse 3 'is no folder' $small --results "$work" --dry-run --text-model $model/config.json
run 1 $small --results "$work" --dry-run --text-model validation/fixtures/bert/fp16
grep -q 'on every rank' "$work/out"
check $? '--dry-run says that fp16 weights are converted on every rank'
mkdir "$work/pickle"
cp $model/config.json $model/vocab.txt "$work/pickle"
: >"$work/pickle/pytorch_model.bin"
refuse 3 'is a pickle' $small --results "$work" --dry-run --text-model "$work/pickle"

kind=resume
cp -rL $model "$work/model"
stopped() {
    run 1 $small --results "$work" --name stop --text-model "$work/model" --set train.epochs=2 --set checkpoint.every=1
    rm -f "$work/stop/summary.json" "$work/stop/checkpoints/latest.tmp"
}
stopped
sed -i 's/"hidden_act"/ "hidden_act"/' "$work/model/config.json"
run 1 $small --results "$work" --name stop --text-model "$work/model" --set train.epochs=2 --set checkpoint.every=1 --resume
[ $? -eq 3 ] && grep -q 'error' "$work/err"
check $? 'a state is not resumed with another text model'
exit 0
