/* The genes of several files as one list. Private to src/data.
 *
 * A gene is known by its name: an Ensembl identifier without its version (ENSG00000141510.12 is
 * ENSG00000141510), any other name as it stands. Of several files the genes that all have are
 * taken, in the order of the first file; where a name stands several times in a file, its counts
 * are added up, since nothing tells which is meant. In a single file nothing needs matching, and
 * genes of one name stay apart, as AnnData and Scanpy keep them. */
#ifndef CZ_GENES_H
#define CZ_GENES_H

#include "h5ad_plan.h"

typedef struct gene_list {
    int genes, files;
    char **name;                   /* (genes) as the first file writes them */
    int32_t *number[CZ_TEXTS_MAX]; /* file f: (its genes) number in the list, -1 = not in it;
                                    * NULL where both are the same */
    int first_genes;               /* genes of the first file */
    int repeated;                  /* genes of all files whose name stands before in their file */
} gene_list;

/* Of the plans' genes. Local. Free with gene_list_free(). CZ_ERR_INPUT: some files name genes by
 * identifiers and some by symbols, or no gene is in all. */
cz_status gene_list_make(gene_list *list, const h5ad_plan *plans, int files);
void gene_list_free(gene_list *list);

/* mark (genes): 1 for mitochondrial genes, whose symbols start with MT- or mt-. How many. */
int gene_list_mitochondrial(uint8_t *mark, const gene_list *list);

#endif
