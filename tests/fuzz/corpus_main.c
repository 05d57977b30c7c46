/* Stands in for libFuzzer: gives a target every file of the folders named, whole, cut in the middle, and with
 * a flipped bit. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* In memory of its exact size, so that a sanitizer sees a read past the end. */
static void give(const uint8_t *data, size_t len, size_t flip)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    if (copy == NULL)
        abort();
    memcpy(copy, data, len);
    if (flip < 8 * len)
        copy[flip / 8] ^= (uint8_t)(1 << flip % 8);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void give_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(data, 1, sizeof data, file);
    fclose(file);
    give(data, len, SIZE_MAX);
    for (size_t i = 0; i < 64 && len > 0; i++) {
        give(data, len * i / 64, SIZE_MAX);
        give(data, len, 8 * len * i / 64 + i % 8);
    }
}

static int give_folder(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        give_file(path);
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += give_folder(argv[i]);
    printf("%d files\n", count);
    return count > 0 ? 0 : 1; /* a test over an empty corpus tests nothing */
}
