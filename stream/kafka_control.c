#include "stream/kafka_control.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/map.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 100, KEYS_MAX = 1000000 };

struct table {
    struct sb_map *map; /* key -> struct value * in arena */
    struct sb_arena *arena;
    const char *direction;
};

/* "forward/schema/7" -> "schema/7"; false for the other direction's. */
static bool own_key(const struct table *table, struct sb_view key, struct sb_view *ret_key)
{
    size_t len = strlen(table->direction);
    if (key.len <= len + 1 || memcmp(key.ptr, table->direction, len) != 0 || key.ptr[len] != '/')
        return false;
    *ret_key = sb_view(key.ptr + len + 1, key.len - len - 1);
    return true;
}

/* A value in the table; its room is used again when the key is put anew. */
struct value {
    struct sb_view bytes; /* ptr NULL: deleted */
    size_t room;
    char *at;
};

/* Superseded values must not add up: a mark that is written all day long is one entry. */
static bool keep(struct table *table, struct value *value, struct sb_view bytes)
{
    if (bytes.ptr != NULL && (value->at == NULL || value->room < bytes.len)) {
        value->room = bytes.len + bytes.len / 4 + 16;
        value->at = sb_arena_alloc(table->arena, value->room);
        if (value->at == NULL)
            return false;
    }
    if (bytes.len > 0)
        memcpy(value->at, bytes.ptr, bytes.len);
    value->bytes = bytes.ptr == NULL ? bytes : sb_view(value->at, bytes.len);
    return true;
}

static int put(struct table *table, const rd_kafka_message_t *message, struct sb_err *err)
{
    struct sb_view key;
    if (!own_key(table, sb_view(message->key, message->key_len), &key))
        return 0;
    struct value *value = sb_map_get(table->map, key);
    if (value == NULL) {
        value = sb_arena_zalloc(table->arena, sizeof *value);
        if (value != NULL && !sb_map_put(table->map, key, value, NULL))
            value = NULL;
    }
    if (value == NULL || !keep(table, value, sb_view(message->payload, message->len)))
        return sb_err_set(err, SB_E_LIMIT, "the control topic holds more than %d bytes or %d keys",
            SB_CONTROL_MAX_BYTES, KEYS_MAX);
    return 0;
}

static int read_all(
    struct sb_kafka_client *client, const char *topic, struct table *table, struct sb_err *err)
{
    int64_t low, high, deadline_ms = sb_clock_mono_ms() + SB_STREAM_ASK_MS, next = 0;
    if (sb_kafka_ends(client, topic, SB_STREAM_ASK_MS, &low, &high, err) != 0)
        return -1;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = low;
    rd_kafka_resp_err_t code = rd_kafka_assign(client->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(client, code, "could not read the control topic", err);
    int rc = 0;
    for (next = low; rc == 0 && next < high;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client->rk, POLL_MS);
        if (message == NULL && sb_clock_mono_ms() > deadline_ms)
            return sb_kafka_error(
                client, RD_KAFKA_RESP_ERR__TIMED_OUT, "could not read the control topic", err);
        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            next = message->offset + 1;
            rc = put(table, message, err);
        } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            next = high; /* compaction may have removed the very last ones */
        } else {
            rc = sb_kafka_error(client, message->err, "could not read the control topic", err);
        }
        rd_kafka_message_destroy(message);
    }
    return rc;
}

static int hand_out(
    const struct table *table, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    size_t pos = 0;
    struct sb_view key;
    void *value;
    while (sb_map_next(table->map, &pos, &key, &value)) {
        const struct sb_view *bytes = &((const struct value *)value)->bytes;
        if (bytes->ptr == NULL || key.len < prefix.len || memcmp(key.ptr, prefix.ptr, prefix.len) != 0)
            continue;
        if (fn(arg, key, *bytes, err) != 0)
            return -1;
    }
    return 0;
}

int sb_kafka_control_each(const struct sb_stream_options *options, const char *topic, struct sb_view prefix,
    sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    struct table table = {.map = sb_map_new(KEYS_MAX),
        .arena = sb_arena_new("control", SB_CONTROL_MAX_BYTES),
        .direction = options->direction};
    struct sb_kafka_client client = {0};
    char group[256];
    int rc = -1;
    snprintf(group, sizeof group, "%s.control-reader", options->migration);
    if (table.map == NULL || table.arena == NULL)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the control table");
    else if (sb_kafka_consumer(&client, options, group, err) == 0 &&
             read_all(&client, topic, &table, err) == 0)
        rc = hand_out(&table, prefix, fn, arg, err);
    sb_kafka_client_close(&client);
    sb_map_free(table.map);
    sb_arena_free(table.arena);
    return rc;
}
