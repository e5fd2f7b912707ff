/* tests/fuzz/fuzz_choices.c - any bytes as a file of tuned choices; the first line may be left out.
 *
 * Held: what is read is in its ranges, and comes back the same when it is printed and read again. */
#include "op/attention.h"
#include "op/choice_file.h"
#include "op/matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "fuzz"
#define CAPACITY 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check(const pm_choice *c)
{
    hold(c->op < PM_CHOICE_OPS, "an op that is none");
    hold(c->rows_first >= 1 && c->rows_first <= c->rows_last && c->rows_last <= PM_CHOICE_ROWS_MAX, "rows out of range");
    hold((c->lanes & (c->lanes - 1)) == 0 && c->lanes <= 128, "lanes out of range");
    hold((c->slices & (c->slices - 1)) == 0 && c->slices <= 8 && c->splits <= 32, "slices or splits out of range");
    uint32_t variants = c->op == PM_CHOICE_STEP;
    while (c->op == PM_CHOICE_MATMUL && pm_matmul_variant(variants) != NULL)
        variants++;
    while (c->op == PM_CHOICE_ATTENTION && pm_attention_variant(variants) != NULL)
        variants++;
    hold(c->variant < variants, "a variant that is none");
}

static void read_text(const char *text, size_t bytes)
{
    pm_choices all = {0}, again = {0};
    pm_str printed = {0};
    if (pm_choices_parse(text, bytes, KEY, &all) != PM_OK)
        return;
    for (uint32_t i = 0; i < all.count; i++)
        check(&all.list[i]);
    hold(pm_choices_print(&all, KEY, &printed) == PM_OK, "not printed");
    hold(pm_choices_parse(printed.data, printed.len, KEY, &again) == PM_OK, "what was printed is not read");
    hold(again.count == all.count, "another count");
    if (all.count > 0)
        hold(memcmp(again.list, all.list, all.count * sizeof(*all.list)) == 0, "another choice");
    pm_choices_finish(&again);
    pm_choices_finish(&all);
    pm_str_finish(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "pumice tuning 1\ndevice " KEY "\n";
    static char text[CAPACITY];
    read_text((const char *)data, size);
    if (size > CAPACITY - sizeof(head))
        return 0;
    memcpy(text, head, strlen(head));
    if (size > 0)
        memcpy(text + strlen(head), data, size);
    read_text(text, strlen(head) + size);
    return 0;
}
