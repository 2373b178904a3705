#include "genes.h"

#include "names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void gene_list_free(gene_list *list)
{
    for (int g = 0; list->name && g < list->genes; g++) free(list->name[g]);
    free(list->name);
    for (int f = 0; f < list->files; f++) free(list->number[f]);
    *list = (gene_list){0};
}

/* The length of an Ensembl identifier without its version, 0 for another name. Identifiers are
 * ENS, letters for species and kind, and eleven digits. */
static size_t ensembl_length(const char *name)
{
    if (strncmp(name, "ENS", 3) != 0) return 0;
    size_t letters = 3, end;
    while (isupper((unsigned char)name[letters])) letters++;
    for (end = letters; isdigit((unsigned char)name[end]);) end++;
    if (end != letters + 11) return 0;
    if (!name[end]) return end;
    size_t version = strspn(name + end + 1, "0123456789");
    return name[end] == '.' && version > 0 && !name[end + 1 + version] ? end : 0;
}

static size_t key_length(const char *name)
{
    size_t length = ensembl_length(name);
    return length ? length : strlen(name);
}

static bool has_identifiers(const h5ad_plan *plan)
{
    int found = 0;
    for (int g = 0; g < plan->matrix.columns; g++) found += ensembl_length(plan->gene[g]) > 0;
    return 2 * (int64_t)found > plan->matrix.columns;
}

/* Names can only be matched with names of their kind. */
static cz_status check_kinds(const h5ad_plan *plans, int files)
{
    bool first = has_identifiers(&plans[0]);
    for (int f = 1; f < files; f++) {
        if (has_identifiers(&plans[f]) == first) continue;
        const h5ad_plan *ids = &plans[first ? 0 : f], *symbols = &plans[first ? f : 0];
        return cz_fail(CZ_ERR_INPUT,
                       "%s names its genes by Ensembl identifiers ('%s', ...), %s by symbols "
                       "('%s', ...): name a column of var in data.gene_key that holds the same "
                       "kind in every file",
                       ids->path, ids->gene[0], symbols->path, symbols->gene[0]);
    }
    return CZ_OK;
}

/* number (genes of the file): which of `names` each gene is, -1 = none; seen[k] = 1 where the
 * file has name k. Counts the genes whose name stands before. */
static void find_genes(int32_t *number, uint8_t *seen, int *repeated, const name_set *names,
                       const h5ad_plan *plan)
{
    for (int g = 0; g < plan->matrix.columns; g++) {
        int k = name_set_find(names, plan->gene[g], key_length(plan->gene[g]));
        number[g] = k;
        if (k < 0) continue;
        *repeated += seen[k];
        seen[k] = 1;
    }
}

/* The names of the first file that are in all: place (names) is their number in the list, or
 * -1. */
static cz_status choose_genes(gene_list *list, int32_t *place, const uint8_t *missing,
                              const name_set *names, const h5ad_plan *first)
{
    list->name = cz_alloc((size_t)names->count, sizeof(char *), "the names of genes");
    if (!list->name) return CZ_ERR_MEMORY;
    int before = -1;
    for (int g = 0; g < first->matrix.columns; g++) {
        int k = list->number[0][g];
        if (k <= before) continue; /* names are numbered by first appearance */
        before = k;
        place[k] = missing[k] ? -1 : list->genes;
        if (missing[k]) continue;
        if (!(list->name[list->genes] = strdup(first->gene[g])))
            return cz_fail(CZ_ERR_MEMORY, "no memory for the names of genes");
        list->genes++;
    }
    return CZ_OK;
}

/* A file whose genes are those of the list, in its order, needs no numbers. */
static void forget_identity(gene_list *list, const h5ad_plan *plans)
{
    for (int f = 0; f < list->files; f++) {
        bool same = list->number[f] && plans[f].matrix.columns == list->genes;
        for (int g = 0; same && g < list->genes; g++) same = list->number[f][g] == g;
        if (!same) continue;
        free(list->number[f]);
        list->number[f] = NULL;
    }
}

static cz_status match_genes(gene_list *list, name_set *names, const h5ad_plan *plans)
{
    const h5ad_plan *first = &plans[0];
    CZ_TRY(name_set_open(names, first->matrix.columns));
    for (int g = 0; g < first->matrix.columns; g++)
        name_set_add(names, first->gene[g], key_length(first->gene[g]));
    uint8_t *missing = cz_alloc((size_t)names->count, 1, "the genes of files");
    uint8_t *seen = cz_alloc((size_t)names->count, 1, "the genes of files");
    int32_t *place = cz_alloc((size_t)names->count, sizeof *place, "the genes of files");
    cz_status status = missing && seen && place ? CZ_OK : CZ_ERR_MEMORY;
    for (int f = 0; f < list->files && !status; f++) {
        list->number[f] =
            cz_alloc((size_t)plans[f].matrix.columns, sizeof(int32_t), "the genes of files");
        if (!list->number[f]) status = CZ_ERR_MEMORY;
        if (status) break;
        memset(seen, 0, (size_t)names->count);
        find_genes(list->number[f], seen, &list->repeated, names, &plans[f]);
        for (int k = 0; k < names->count; k++) missing[k] |= !seen[k];
    }
    if (!status) status = choose_genes(list, place, missing, names, first);
    for (int f = 0; f < list->files && !status; f++)
        for (int g = 0; g < plans[f].matrix.columns; g++)
            if (list->number[f][g] >= 0) list->number[f][g] = place[list->number[f][g]];
    free(missing);
    free(seen);
    free(place);
    return status;
}

/* The genes of a single file, all of them. */
static cz_status take_genes(gene_list *list, name_set *names, const h5ad_plan *plan)
{
    int genes = plan->matrix.columns;
    CZ_TRY(name_set_open(names, genes));
    list->name = cz_alloc((size_t)genes, sizeof(char *), "the names of genes");
    if (!list->name) return CZ_ERR_MEMORY;
    for (; list->genes < genes; list->genes++) {
        const char *name = plan->gene[list->genes];
        name_set_add(names, name, strlen(name));
        if (!(list->name[list->genes] = strdup(name)))
            return cz_fail(CZ_ERR_MEMORY, "no memory for the names of genes");
    }
    list->repeated = genes - names->count;
    return CZ_OK;
}

cz_status gene_list_make(gene_list *list, const h5ad_plan *plans, int files)
{
    name_set names = {0};
    *list = (gene_list){.files = files, .first_genes = plans[0].matrix.columns};
    cz_status status = check_kinds(plans, files);
    if (!status && files == 1) status = take_genes(list, &names, &plans[0]);
    else if (!status) status = match_genes(list, &names, plans);
    name_set_free(&names);
    if (!status && list->genes == 0)
        status = cz_fail(CZ_ERR_INPUT,
                         "no gene of %s ('%s', ...) is in all of the other files (%s has '%s', "
                         "...): data.gene_key names the column of var to match them by",
                         plans[0].path, plans[0].gene[0], plans[files - 1].path,
                         plans[files - 1].gene[0]);
    if (status) gene_list_free(list);
    else forget_identity(list, plans);
    return status;
}

int gene_list_mitochondrial(uint8_t *mark, const gene_list *list)
{
    int found = 0;
    for (int g = 0; g < list->genes; g++) {
        mark[g] = strncmp(list->name[g], "MT-", 3) == 0 || strncmp(list->name[g], "mt-", 3) == 0;
        found += mark[g];
    }
    return found;
}
