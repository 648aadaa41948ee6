/* Population balances as external functions of CasADi. */

#ifndef POPULATION_BALANCE_SEATED_H
#define POPULATION_BALANCE_SEATED_H

#include "population_balance.h"
#include "seats.h"

/* A balance whose tables a seat keeps, its table of collisions as long as told; `failed` is set without memory. */
balance balance_kept(seated *s, const balance *given, size_t collisions, int *failed);

/* A balance that owns its tables: arguments are numbers and coefficients. NULL without memory. */
typedef struct population population;
population *population_new(const balance *given, size_t collisions);
seated *population_seat(population *p);
const balance *population_tables(const population *p);

#endif
