/* SHA-256 against published digests, and at every length around a block. */
#include "core/sha256.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { MILLION = 1000000, LENGTHS = 200 };

static const struct {
    const char *text, *digest;
} known[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

START_TEST(known_digests)
{
    char text[SB_SHA256_TEXT_BYTES];
    ck_assert_str_eq(sb_sha256_text(sb_view_str(known[_i].text), text), known[_i].digest);
}
END_TEST

START_TEST(a_million_letters)
{
    char text[SB_SHA256_TEXT_BYTES], *letters = malloc(MILLION);
    memset(letters, 'a', MILLION);
    ck_assert_str_eq(sb_sha256_text(sb_view(letters, MILLION), text),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(letters);
}
END_TEST

/* The digest of the digests of 0 to 199 letters, as Python's hashlib has it. */
START_TEST(every_length)
{
    char text[SB_SHA256_TEXT_BYTES];
    uint8_t all[LENGTHS * SB_SHA256_BYTES];
    char letters[LENGTHS];
    memset(letters, 'x', sizeof letters);
    for (size_t len = 0; len < LENGTHS; len++)
        sb_sha256(sb_view(letters, len), all + len * SB_SHA256_BYTES);
    ck_assert_str_eq(sb_sha256_text(sb_view(all, sizeof all), text),
        "f5e61141898898cdabae3590cb32e1901b40bdc59952302926213a44c105c129");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sha256");
    TCase *tcase = tcase_create("sha256");
    tcase_add_loop_test(tcase, known_digests, 0, (int)(sizeof known / sizeof known[0]));
    tcase_add_test(tcase, a_million_letters);
    tcase_add_test(tcase, every_length);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
