/* BERT's tokenizer: the same ids as Hugging Face's tokenizers library gives, for every text.
 * Tokens come from tokenizer.json, else from vocab.txt, of a model's folder. How long a text may be
 * is the caller's word: truncation and padding that tokenizer.json asks for are not done. */
#ifndef CZ_TOKENIZER_H
#define CZ_TOKENIZER_H

#include "czhpc/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cz_tokenizer cz_tokenizer;

/* Reads a folder's tokenizer.json, else its vocab.txt, and tokenizer_config.json if it is there.
 * CZ_CASE_AUTO lower-cases as the files say: tokenizer.json's normalizer, else do_lower_case of
 * tokenizer_config.json, else a vocabulary without capitals; anything else overrules them. Errors,
 * CZ_ERR_INPUT: a file is missing, damaged, or describes another tokenizer than BERT's. Close with
 * cz_tokenizer_close(), which is harmless on NULL. Local. */
cz_status cz_tokenizer_open(cz_tokenizer **tokenizer, const char *folder, cz_text_case wanted);
void cz_tokenizer_close(cz_tokenizer *tokenizer);

/* The largest id + 1. */
int cz_tokenizer_size(const cz_tokenizer *tokenizer);

/* The most tokens of a text, model_max_length of tokenizer_config.json; INT_MAX if it says none. */
int cz_tokenizer_limit(const cz_tokenizer *tokenizer);

/* The id of [UNK], which stands for a word that the vocabulary cannot spell. */
int32_t cz_tokenizer_unknown(const cz_tokenizer *tokenizer);

/* What decided upper and lower case, for the log: "uncased by tokenizer.json". */
const char *cz_tokenizer_origin(const cz_tokenizer *tokenizer);

/* The ids of a UTF-8 text: [CLS], its tokens, [SEP]; at most `most` (2 or more) in all, the rest of
 * the text is left out, which `cut` (may be NULL) tells. The text may hold bytes 0. *ids is for the
 * caller to free, NULL after an error: CZ_ERR_INPUT, the text is not UTF-8. One tokenizer may serve
 * several threads at once. Local. */
cz_status cz_tokenize(const cz_tokenizer *tokenizer, const char *text, size_t size, int most,
                      int32_t **ids, int *count, bool *cut);

#endif
