/* Results class by class and label by label, as tables. */
#include "csv.h"
#include "czhpc/file.h"
#include "czhpc/report.h"

static void write_share(FILE *out, const cz_share *share)
{
    fprintf(out, "%d,", share->n);
    csv_number(out, share->value, ",");
    csv_number(out, share->low, ",");
    csv_number(out, share->high, ",");
}

static void write_classes(FILE *out, const cz_results *results, const cz_cells *cells)
{
    fputs("head,class,n,recall,recall_low,recall_high,predicted,precision,f1,auroc\n", out);
    for (int h = 0; h < results->heads; h++) {
        const cz_head_result *r = &results->head[h];
        for (int c = 0; c < r->classes; c++) {
            const cz_class_result *one = &r->of_class[c];
            csv_text(out, "", r->name, ",");
            csv_text(out, "", cz_head_column(cells, h)->class_name[c], ",");
            write_share(out, &one->recall);
            fprintf(out, "%d,", one->predicted);
            csv_number(out, one->precision, ",");
            csv_number(out, one->f1, ",");
            csv_number(out, one->auroc, "\n");
        }
    }
}

static void write_labels(FILE *out, const cz_results *results, const cz_cells *cells)
{
    fputs("label,n,accuracy,accuracy_low,accuracy_high\n", out);
    for (int l = 0; l < cells->label.classes; l++) {
        const cz_share *share = &results->of_label[l];
        csv_text(out, "", cells->label.class_name[l], ",");
        fprintf(out, "%d,", share->n);
        csv_number(out, share->value, ",");
        csv_number(out, share->low, ",");
        csv_number(out, share->high, "\n");
    }
}

/* Pairs that occur. */
static void write_confusions(FILE *out, const cz_results *results, const cz_cells *cells)
{
    fputs("head,true,predicted,n\n", out);
    for (int h = 0; h < results->heads; h++) {
        const cz_head_result *r = &results->head[h];
        char **name = cz_head_column(cells, h)->class_name;
        for (int t = 0; t < r->classes; t++)
            for (int p = 0; p < r->classes; p++) {
                int n = r->confusion[(size_t)t * (size_t)r->classes + (size_t)p];
                if (!n) continue;
                csv_text(out, "", r->name, ",");
                csv_text(out, "", name[t], ",");
                csv_text(out, "", name[p], ",");
                fprintf(out, "%d\n", n);
            }
    }
}

cz_status cz_result_tables_write(const char *folder, const cz_results *results,
                                 const cz_cells *cells)
{
    static const struct {
        const char *name;
        void (*write)(FILE *out, const cz_results *results, const cz_cells *cells);
    } table[] = {{"class_results.csv", write_classes},
                 {"label_results.csv", write_labels},
                 {"confusion.csv", write_confusions}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char path[3 * CZ_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, table[i].name);
        cz_new_file file;
        CZ_TRY(cz_new_file_open(&file, path));
        table[i].write(file.out, results, cells);
        CZ_TRY(cz_new_file_close(&file));
    }
    return CZ_OK;
}
