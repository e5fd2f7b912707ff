/* soak.h - a trace for hours: no request is lost, memory stays where it was. */
#ifndef SOAK_H
#define SOAK_H

#include "load.h"

/* Submits the requests [count], by at_s, and again from the first when all have come, for so
 * many seconds; each asks for something else: every sampler, stop strings, samples of one
 * prompt, shared beginnings, tenants, log-probabilities, guesses; some are cancelled while
 * they wait, read or speak, some have hardly any time. One that finds the queue full comes
 * when there is room.
 *
 * CSV on stdout, a row each minute (each thirtieth of what is shorter than half an hour):
 * latencies are those since the row before, from the moment the queue took the request, to
 * 2 %. Then the verdict on stderr. It fails, EXIT_FAILED, when
 *   - an answer has no end, or two, or an end that it was not asked for;
 *   - `same_answers`, and a request that came again got other tokens;
 *   - nothing happens for a minute although something is to be done;
 *   - pages are held when all has ended;
 *   - after the first fifth, resident memory is ever more than 2 % (at least 1 MiB) above what
 *     it was at most until then, or device memory is more at all. Runs of less than five
 *     minutes are too short for that. */
int soak_run(pm_engine *engine, const load_request *requests, size_t count, uint32_t seconds, bool same_answers);

#endif /* SOAK_H */
