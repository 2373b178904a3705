/* Cells of an AnnData file (.h5ad). Private to src/data. */
#ifndef CZ_H5AD_H
#define CZ_H5AD_H

#include "czhpc/data.h"

/* Everything of `cells` from config's data.h5ad, one file or several: names, codes, hashes,
 * facts, the split, then the features, fitted on training cells. Rank 0 looks into the files by
 * a process of its own, then all ranks read the rows of the cells that their columns let stay.
 * Collective; the pool of every rank helps. CZ_ERR_INPUT, the same on all ranks. */
cz_status cz_h5ad_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool);

/* n, width, columns and split alone, from the files' structure: no feature is read, so cells
 * without any are still counted, and no two are taken for equal. Local. CZ_ERR_INPUT. */
cz_status cz_h5ad_shape(cz_cells *cells, const cz_config *config);

#endif
