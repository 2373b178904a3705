/* Every key of a configuration. What is not here does not exist. */
#include "table.h"

#include "czhpc/text.h"

#include <math.h>
#include <string.h>

#define AT(section, member)                                                                        \
    .name = #section "." #member, .offset = offsetof(cz_config, section.member),                   \
    .size = sizeof((cz_config *)0)->section.member
#define BOOL .kind = CZ_KIND_BOOL
#define INT(least, most) .kind = CZ_KIND_INT, .min = least, .max = most
#define SEED .kind = CZ_KIND_WHOLE, .min = 0, .max = INFINITY
#define REAL(least, most) .kind = CZ_KIND_REAL, .min = least, .max = most
#define CHOICE(...) .kind = CZ_KIND_CHOICE, .choice = {__VA_ARGS__}
#define WORD(...) .kind = CZ_KIND_WORD, .choice = {__VA_ARGS__}
#define TEXT .kind = CZ_KIND_TEXT
#define PATH .kind = CZ_KIND_PATH
#define NAMES .kind = CZ_KIND_NAMES
#define TEXTS .kind = CZ_KIND_TEXTS
#define PATHS .kind = CZ_KIND_PATHS
#define RESULT .result = true

/* Choices stand in the order of their enum. */
const cz_key cz_keys[] = {
    {AT(run, name), TEXT, .preset = "", .may_be_empty = true,
     .help = "Folder of this run under run.results; empty: the config's file name."},
    {AT(run, results), TEXT, .preset = "results",
     .help = "Folder that holds the folders of all runs."},
    {AT(run, seed), SEED, .preset = "0", RESULT,
     .help = "Seed of the initial weights, the order of cells and dropout."},
    {AT(run, threads), INT(0, 4096), .preset = "0",
     .help = "Threads of each rank; 0: the cores it may use."},
    {AT(run, binding), CHOICE("auto", "inherit"), .preset = "auto",
     .help = "Cores: a share of all that mpirun may use, or those that it left a rank."},
    {AT(run, device), CHOICE("auto", "cpu", "cuda"), .preset = "auto",
     .help = "What computes; auto: GPUs if every rank can have one, else CPUs."},
    {AT(run, precision), CHOICE("auto", "fp32", "bf16", "fp64"), .preset = "auto", RESULT,
     .help = "Of activations; auto: bf16 if CPUs multiply it, else fp32; fp64: for tests."},
    {AT(run, level), WORD("auto", "portable", "avx2", "avx512", "amx"), .preset = "auto",
     .help = "Level of CPU instructions, none lower in its place; auto: the best there is."},
    {AT(run, transport), WORD("auto", "window", "messages"), .preset = "auto",
     .help = "How ranks add their gradients: shared memory or MPI messages."},
    {AT(run, memory), INT(0, 1000000000), .preset = "0",
     .help = "MiB a rank may take in all; 0: what it has and its share of what is free."},
    {AT(run, ranks_per_item), INT(0, 1000000), .preset = "0",
     .help = "Ranks that work on one of the experiments together; 0: all."},

    {AT(data, source), CHOICE("synthetic", "h5ad"), .preset = "synthetic", RESULT,
     .help = "Embedded synthetic cells, or the AnnData files data.h5ad."},
    {AT(data, h5ad), PATHS, .preset = "[]", RESULT,
     .help = "AnnData file of cells, or a list of them: genes are matched by name."},
    {AT(data, features), CHOICE("counts", "obsm"), .preset = "counts", RESULT,
     .help = "From raw counts (log, variable genes, SVD), or an embedding of obsm."},
    {AT(data, matrix), TEXT, .preset = "X", RESULT,
     .help = "Where the raw counts stand: X, raw, or layer:NAME."},
    {AT(data, obsm), TEXT, .preset = "geneformer", RESULT,
     .help = "Name of the embedding in obsm, for data.features: obsm."},
    {AT(data, target_key), TEXT, .preset = "donor_id", RESULT,
     .help = "Column of obs to predict; A+B joins two columns."},
    {AT(data, label_key), TEXT, .preset = "cell_type", RESULT,
     .help = "Column of obs whose words are the text of a cell."},
    {AT(data, adversary_keys), NAMES, .preset = "[sex]", RESULT,
     .help = "Columns that the latent shall not reveal; [] for none."},
    {AT(data, gene_key), TEXT, .preset = "", .may_be_empty = true, RESULT,
     .help = "Column of var with the names of genes; empty: the index."},
    {AT(data, batch_key), TEXT, .preset = "", .may_be_empty = true,
     .help = "Column of obs with the libraries or batches; empty: none."},
    {AT(data, quality_keys), NAMES, .preset = "[]",
     .help = "Numeric columns of obs, for the accuracy from quality alone."},
    {AT(data, filter), TEXTS, .preset = "[]", RESULT,
     .help = "Cells to keep: KEY = A | B, or KEY != A | B; all must hold."},
    {AT(data, missing), CHOICE("error", "drop"), .preset = "error", RESULT,
     .help = "Cells without target, label, counts or embedding: refuse, or leave out."},
    {AT(data, duplicates), CHOICE("keep", "drop"), .preset = "keep", RESULT,
     .help = "Cells whose features equal another's: keep, or leave all but one out."},
    {AT(data, min_cells), INT(1, 1000000000), .preset = "1", RESULT,
     .help = "Cells that a class of the target needs; smaller ones are left out."},
    {AT(data, target_sum), REAL(0, 1e9), .above = true, .preset = "10000", RESULT,
     .help = "Counts are scaled to this sum per cell before the logarithm."},
    {AT(data, variable_genes), INT(1, 1000000), .preset = "2000", RESULT,
     .help = "Most variable genes to keep of the counts; all, if there are fewer."},
    {AT(data, components), INT(1, 65536), .preset = "512", RESULT,
     .help = "Features made of the counts by the SVD."},

    {AT(synthetic, preset), CHOICE("label_redundant", "label_informative"),
     .preset = "label_redundant", RESULT,
     .help = "Whether the label can be read off the features, or adds to them."},
    {AT(synthetic, cells), INT(200, 100000000), .preset = "31780", RESULT,
     .help = "Synthetic cells to generate."},
    {AT(synthetic, width), INT(32, 65536), .preset = "512", RESULT,
     .help = "Features of a synthetic cell."},
    {AT(synthetic, seed), SEED, .preset = "0", RESULT,
     .help = "Seed of the generator: another seed, another population."},

    {AT(split, method), TEXT, .preset = "stratified", RESULT,
     .help = "stratified (or donor), random, group:KEY, column:KEY, or kfold."},
    {AT(split, train), REAL(0, 1), .above = true, .below = true, .preset = "0.7", RESULT,
     .help = "Share of cells to train on."},
    {AT(split, validation), REAL(0, 1), .above = true, .below = true, .preset = "0.15", RESULT,
     .help = "Share of cells that choose the epoch; what remains is the test."},
    {AT(split, folds), INT(3, 1000), .preset = "5", RESULT,
     .help = "Folds of kfold: one tests, the next validates, the others train."},
    {AT(split, fold), INT(0, 999), .preset = "0", RESULT,
     .help = "The fold of kfold that tests, from 0."},
    {AT(split, seed), SEED, .preset = "0", RESULT,
     .help = "Seed of the split: another seed, other cells are tested."},

    {AT(text, table), PATH, .preset = "embedded", RESULT,
     .help = "HDF5 file of label vectors; embedded: the one that comes along."},
    {AT(text, model), PATH, .preset = "", .may_be_empty = true, RESULT,
     .help = "Folder of a BERT that makes the vectors instead of text.table; empty: none."},
    {AT(text, pooling), CHOICE("cls", "mean"), .preset = "cls", RESULT,
     .help = "A text's vector of text.model: its first token's, or the mean of all."},
    {AT(text, casing), CHOICE("auto", "cased", "uncased"), .preset = "auto", RESULT,
     .help = "Whether text.model tells A from a; auto: as its tokenizer's files say."},
    {AT(text, width), INT(0, 65536), .preset = "768", RESULT,
     .help = "Label vectors are padded with zeros to this width; 0: as read."},

    {AT(model, text), BOOL, .preset = "true", RESULT,
     .help = "Use the label text; false: expression alone."},
    {AT(model, tokens), INT(1, 1024), .preset = "8", RESULT,
     .help = "Slices that a feature vector and a label vector are cut into."},
    {AT(model, heads), INT(1, 1024), .preset = "8", RESULT,
     .help = "Attention heads; must divide fusion_dim and latent_dim."},
    {AT(model, fusion_dim), INT(1, 16384), .preset = "256", RESULT, .help = "Width of a token."},
    {AT(model, layers), INT(0, 50), .preset = "1", RESULT, .help = "Transformer encoder layers."},
    {AT(model, feedforward), INT(1, 65536), .preset = "2048", RESULT,
     .help = "Width inside a transformer layer's feed-forward part."},
    {AT(model, latents), INT(1, 4096), .preset = "61", RESULT,
     .help = "Latent queries of the Perceiver resampler."},
    {AT(model, latent_dim), INT(2, 16384), .preset = "256", RESULT,
     .help = "Width of a latent, and of the summary of a cell."},
    {AT(model, dropout), REAL(0, 1), .below = true, .preset = "0.11378010821029086", RESULT,
     .help = "Share of activations dropped while training."},
    {AT(model, positions), CHOICE("none", "learned"), .preset = "none", RESULT,
     .help = "A learned code that tells the tokens' places apart, or none."},

    {AT(train, epochs), INT(1, 1000000), .preset = "50", RESULT,
     .help = "Passes over the training cells."},
    {AT(train, batch), INT(1, 1048576), .preset = "128", RESULT,
     .help = "Cells of a step, over all ranks together."},
    {AT(train, lr), REAL(0, 10), .above = true, .preset = "5.947012811791727e-4", RESULT,
     .help = "Peak learning rate of Adam."},
    {AT(train, weight_decay), REAL(0, 1), .preset = "1e-4", RESULT,
     .help = "L2 penalty, added to the gradient."},
    {AT(train, warmup), REAL(0, 1), .below = true, .preset = "0.1", RESULT,
     .help = "Share of all steps in which the learning rate climbs from 0."},
    {AT(train, cosine_cycles), REAL(0, 100), .preset = "1", RESULT,
     .help = "Half cosines after the warm-up: 1 falls to 0, 2 comes back, 0 stays."},
    {AT(train, adv_lambda), REAL(0, 100), .preset = "0.35824957883020864", RESULT,
     .help = "Strength of the reversed gradient of the adversaries."},
    {AT(train, stopping), CHOICE("none", "patience", "reference"), .preset = "reference", RESULT,
     .help = "When to stop early: never, by validation loss, or as the reference."},
    {AT(train, patience), INT(1, 1000000), .preset = "3", RESULT,
     .help = "Epochs in a row that must speak for stopping."},
    {AT(train, class_weights), CHOICE("none", "balanced"), .preset = "none", RESULT,
     .help = "Weights of the target's loss: all cells alike, or all classes alike."},
    {AT(train, sampler), CHOICE("shuffle", "balanced"), .preset = "shuffle", RESULT,
     .help = "Each cell once an epoch, or classes of the target drawn alike."},
    {AT(train, block), INT(0, 65536), .preset = "0", RESULT,
     .help = "Cells that a worker takes through the layers at once; 0: chosen."},
    {AT(train, from), PATH, .preset = "", .may_be_empty = true,
     .help = "A best_hyperparameters.json whose values are taken; empty: none."},

    {AT(eval, select), CHOICE("validation", "test"), .preset = "validation", RESULT,
     .help = "Split whose accuracy picks the epoch; test only to repeat others."},
    {AT(eval, test_every_epoch), BOOL, .preset = "false", RESULT,
     .help = "Look at the test cells after every epoch, not only at the end."},
    {AT(eval, bayes), BOOL, .preset = "true",
     .help = "On synthetic cells: the best accuracy possible, and a discriminant's."},

    {AT(checkpoint, every), INT(0, 1000000), .preset = "1",
     .help = "Epochs between checkpoints; 0: the best, the last, and when stopped."},
    {AT(checkpoint, every_steps), INT(0, 1000000000), .preset = "0",
     .help = "Steps between checkpoints within an epoch; 0: none."},
    {AT(checkpoint, keep), INT(1, 1000), .preset = "2",
     .help = "Latest checkpoints to keep, besides the best."},

    {AT(search, study), TEXT, .preset = "", .may_be_empty = true,
     .help = "Journal of the trials, shared with other jobs; empty: study.log of the run."},
    {AT(search, name), TEXT, .preset = "czhpc", .help = "Name of the study in the journal."},
    {AT(search, space), TEXTS,
     .preset = "[train.lr = 1e-5 .. 1e-2 log, model.dropout = 0.1 .. 0.5, "
               "model.latents = 16 .. 64, model.latent_dim = 64 .. 256 step 8, "
               "train.adv_lambda = 0.01 .. 0.5]",
     .help = "What moves: KEY = LOW .. HIGH [step S] [log], or KEY = A | B."},
    {AT(search, trials), INT(1, 1000000), .preset = "20", .help = "Trials of the study in all."},
    {AT(search, epochs), INT(1, 1000000), .preset = "5", .help = "Epochs of a trial."},
    {AT(search, fold), REAL(0, 1), .above = true, .below = true, .preset = "0.1",
     .help = "Share of the training cells that judges trials and is not trained on."},
    {AT(search, objective), CHOICE("accuracy", "loss"), .preset = "accuracy",
     .help = "What of the target on those cells, after a trial's last epoch."},
    {AT(search, sampler), CHOICE("tpe", "random", "grid"), .preset = "tpe",
     .help = "What tries next: Parzen estimators as Optuna's, chance, or a grid."},
    {AT(search, pruner), CHOICE("none", "median", "asha"), .preset = "none",
     .help = "Which trials end early: none, below the median, or by halving."},
    {AT(search, ranks_per_trial), INT(1, 1000000), .preset = "1",
     .help = "Ranks that train a trial together."},
    {AT(search, seed), SEED, .preset = "0", .help = "Seed of the sampler and of the fold."},
    {AT(search, confirm), INT(0, 1000), .preset = "3",
     .help = "Best trials trained in full on new seeds before one is chosen."},
    {AT(search, confirm_seeds), INT(1, 100), .preset = "2",
     .help = "New seeds that each of those is trained on."},
};
const int cz_key_count = (int)(sizeof cz_keys / sizeof *cz_keys);

_Static_assert(sizeof cz_keys / sizeof *cz_keys <= CZ_CONFIG_KEYS, "raise CZ_CONFIG_KEYS");
_Static_assert(sizeof(cz_source) == sizeof(int), "a choice is stored as an int");

int cz_key_find(const char *name)
{
    for (int i = 0; i < cz_key_count; i++)
        if (strcmp(cz_keys[i].name, name) == 0) return i;
    return -1;
}

int cz_key_section(const cz_key *key) { return (int)strcspn(key->name, "."); }

/* A known key in the wrong section is meant, however far its section's name is. */
const char *cz_key_nearest(const char *name)
{
    const char *names[CZ_CONFIG_KEYS], *last = strrchr(name, '.');
    last = last ? last + 1 : name;
    for (int i = 0; i < cz_key_count; i++) {
        names[i] = cz_keys[i].name;
        if (strcmp(names[i] + cz_key_section(&cz_keys[i]) + 1, last) == 0) return names[i];
    }
    return cz_text_nearest(name, names, cz_key_count);
}
