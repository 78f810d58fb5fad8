/* Threads for what blocks. */
#ifndef WORKERS_H
#define WORKERS_H

#include "jobs.h"

struct workers;

/* Starts threads; ends the program when they cannot be had. */
struct workers *workers_new(unsigned threads);

/* Can be read from when something is done. */
int workers_fd(const struct workers *workers);

/* Has a copy of `work` done by one of the threads. Returns false when there is no memory for it. */
bool workers_submit(struct workers *workers, const struct work *work);

/* What is done, to be finished or dropped and freed; NULL when there is nothing more. */
struct work *workers_done(struct workers *workers);

/* Waits for the threads, which end what they have begun, and drops everything. NULL is taken. */
void workers_free(struct workers *workers);

#endif
