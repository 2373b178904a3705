/* Cells of an AnnData file (.h5ad). Private to src/data. */
#ifndef CZ_H5AD_H
#define CZ_H5AD_H

#include "czhpc/data.h"

/* Everything of `cells` from config's data.h5ad: names, codes, hashes, facts, the split, then
 * the features, fitted on training cells. Rank 0 checks the file alone, then all ranks read
 * their rows. Collective; the pool of every rank helps. CZ_ERR_INPUT, the same on all ranks. */
cz_status cz_h5ad_cells(cz_cells *cells, const cz_config *config, const cz_comm *comm,
                        cz_pool *pool);

/* n, width and the columns alone, from the file's structure; cells whose embedding is missing
 * are still counted, since no feature is read. Local. CZ_ERR_INPUT. */
cz_status cz_h5ad_shape(cz_cells *cells, const cz_config *config);

#endif
