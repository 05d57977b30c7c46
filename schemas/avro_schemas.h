/* The schemas of the fixed kinds, as they stand in schemas/avro/, put into the binary by cmake/embed.cmake.
 */
#ifndef SB_SCHEMAS_AVRO_SCHEMAS_H
#define SB_SCHEMAS_AVRO_SCHEMAS_H

extern const char sb_avsc_open[];
extern const char sb_avsc_schema[];
extern const char sb_avsc_message[];
extern const char sb_avsc_commit[];
extern const char sb_avsc_truncate[];
extern const char sb_avsc_image[];

#endif
