/* verify/vector.c - which recorded result belongs to a check. */
#include "verify/vectors.h"

#include "verify/input.h"

#include <stdio.h>
#include <string.h>

void pm_vector_name(const pm_check *check, char *text, size_t capacity)
{
    char shape[64];
    pm_check_shape(check, shape, sizeof(shape));
    snprintf(text, capacity, "%s %s %s", pm_check_op_name(check->op), pm_check_type_name(check), shape);
}

const pm_vector *pm_vector_find(const pm_check *check)
{
    char name[128];
    pm_vector_name(check, name, sizeof(name));
    for (uint32_t i = 0; check->seed == 0 && i < pm_vector_count; i++)
        if (strcmp(pm_vectors[i].name, name) == 0)
            return &pm_vectors[i];
    return NULL;
}

uint64_t pm_vector_place(uint32_t j, uint64_t count)
{
    return j == 0 ? 0 : j == 1 ? count - 1 : pm_input_word(count, j) % count;
}

double pm_vector_sign(uint64_t i)
{
    return pm_input_word(11, i) & 1 ? 1.0 : -1.0;
}
