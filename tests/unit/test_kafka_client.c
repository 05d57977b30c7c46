/* Which versions of librdkafka are taken. (Settings are tested by the product's own words:
 * integration/kafka.) */
#include "stream/kafka_client.h"

#include <check.h>
#include <stdlib.h>

START_TEST(versions_with_known_faults_are_told_apart)
{
    static const struct {
        int version;
        enum sb_kafka_version verdict;
    } cases[] = {
        {0x020002ff, SB_KAFKA_VERSION_GOOD},
        {0x020100ff, SB_KAFKA_VERSION_DOUBTFUL},
        {0x020101ff, SB_KAFKA_VERSION_DOUBTFUL},
        {0x020200ff, SB_KAFKA_VERSION_REFUSED},
        {0x020300ff, SB_KAFKA_VERSION_REFUSED},
        {0x020400ff, SB_KAFKA_VERSION_DOUBTFUL},
        {0x020a00ff, SB_KAFKA_VERSION_DOUBTFUL},
        {0x020a01ff, SB_KAFKA_VERSION_GOOD},
        {0x020c00ff, SB_KAFKA_VERSION_GOOD},
        {0x030000ff, SB_KAFKA_VERSION_GOOD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(sb_kafka_version_judge(cases[i].version) == cases[i].verdict, "%x", cases[i].version);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kafka_client");
    TCase *tcase = tcase_create("kafka_client");
    tcase_add_test(tcase, versions_with_known_faults_are_told_apart);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
