/* Bytes between processes: what was put in is taken out, and nothing beyond the end. */
#include "check.h"
#include "czhpc/bytes.h"

static cz_bytes_reader reader_of(const cz_bytes *bytes)
{
    return (cz_bytes_reader){bytes->data, bytes->data + bytes->size, false};
}

static void check_round(void)
{
    cz_bytes bytes = {0};
    double real = 0.1, back = 0;
    for (int i = 0; i < 1000; i++) {
        cz_bytes_put_int(&bytes, INT64_MIN + i);
        cz_bytes_put_text(&bytes, i % 2 ? "a longer text" : "");
        cz_bytes_put(&bytes, &real, sizeof real);
    }
    cz_bytes_reader reader = reader_of(&bytes);
    bool same = true;
    for (int i = 0; i < 1000; i++) {
        same &= cz_bytes_take_int(&reader, INT64_MIN, INT64_MAX) == INT64_MIN + i;
        same &= !strcmp(cz_bytes_take_text(&reader), i % 2 ? "a longer text" : "");
        same &= cz_bytes_take(&reader, &back, sizeof back) && back == real;
    }
    check(same && !reader.bad && cz_bytes_left(&reader, 1) == 0, "3,000 values and texts");
    check(!cz_bytes_take(&reader, &back, 1) && reader.bad, "nothing lies beyond the end");
    cz_bytes_free(&bytes);
    check(!bytes.data && !bytes.size, "freed bytes are empty bytes");
}

static void check_distrust(void)
{
    cz_bytes bytes = {0};
    cz_bytes_put_int(&bytes, 7);
    cz_bytes_put_int(&bytes, 8);
    cz_bytes_reader reader = reader_of(&bytes);
    check(cz_bytes_left(&reader, 8) == 2 && cz_bytes_left(&reader, 5) == 3,
          "how many can follow bounds a count");
    check(cz_bytes_take_int(&reader, 0, 6) == 0 && reader.bad, "a value out of its range is bad");
    check(cz_bytes_take_int(&reader, 0, 9) == 0 && !cz_bytes_left(&reader, 1) &&
              !cz_bytes_take_text(&reader)[0],
          "a bad reader stays bad: 0, nothing left, no text");
    reader = reader_of(&bytes);
    check(!strcmp(cz_bytes_take_text(&reader), "\7") && !reader.bad, "a text ends at its 0");
    reader.end = reader.at - 1;
    reader.at = bytes.data;
    check(!cz_bytes_take_text(&reader)[0] && reader.bad, "a text without an end is bad");
    reader = reader_of(&bytes);
    char all[17] = "0123456789abcdef";
    check(!cz_bytes_take(&reader, all, sizeof all) && !all[0] && !all[16],
          "what is not there is 0");
    reader = (cz_bytes_reader){0};
    check(cz_bytes_left(&reader, 1) == 0 && cz_bytes_take(&reader, all, 0) && !reader.bad &&
              !cz_bytes_take_text(&reader)[0] && reader.bad,
          "a reader of nothing");
    cz_bytes_free(&bytes);
}

static void check_no_memory(void)
{
    cz_bytes bytes = {0};
    cz_bytes_put_text(&bytes, "kept");
    cz_bytes_put(&bytes, &bytes, SIZE_MAX / 2);
    check(bytes.failed && strstr(cz_error_message(), "no memory for 5 bytes") && bytes.size == 5,
          "no memory is recorded");
    cz_bytes_put_int(&bytes, 1);
    check(bytes.size == 5, "what follows is lost");
    cz_error_clear();
    cz_bytes_free(&bytes);
}

int main(void)
{
    check_round();
    check_distrust();
    check_no_memory();
    return check_done();
}
