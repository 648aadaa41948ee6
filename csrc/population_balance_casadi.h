/* Population balances as external functions of CasADi. */

#ifndef POPULATION_BALANCE_CASADI_H
#define POPULATION_BALANCE_CASADI_H

#include "population_balance.h"

/*
 * A balance that owns its tables, shared by Python and by functions of CasADi, and freed by the last of them.
 *
 * CasADi finds a function by a name in a library and hands it no other data than its arguments. So the library holds a row of
 * seats, population_balance_0 and so on, each with all the functions that CasADi asks for; a balance takes a seat before the
 * first CasADi function is made of it, and leaves it, unchanged all the while, when the last user is gone.
 */
typedef struct shared_balance shared_balance;

enum { SEATS = 512 };

/* A copy of the balance and its tables, its table of collisions as long as told, and with one user; NULL without memory. */
shared_balance *shared_balance_new(const balance *tables, size_t collisions);
const balance *shared_balance_tables(const shared_balance *s);
void shared_balance_release(shared_balance *s);

/* The number of its seat, -1 if all are taken. */
int shared_balance_seat(shared_balance *s);

#endif
