/* shim.c - the threads of a block as fibers. */
#include "cuda/shim.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (128u * 1024)

dim3 shim_thread, shim_block, shim_block_dim, shim_grid_dim;

typedef struct fiber {
    ucontext_t context;
    char *stack;
    dim3 thread;                   /* that it runs */
    bool waits;                    /* at the barrier */
} fiber;

static fiber fibers[SHIM_THREADS_MAX];
static ucontext_t scheduler;

/* The launch that runs. */
static const char *kernel_name;
static void (*kernel_thread)(const void *);
static const void *kernel_args;
static uint32_t thread_count, next_thread, order_seed;
static fiber *current;

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "kernel %s, block (%u, %u, %u): %s\n", kernel_name, shim_block.x, shim_block.y, shim_block.z, what);
    abort();
}

void shim_order(uint32_t seed)
{
    order_seed = seed;
}

/* The i-th thread to start: i times a number prime to the count, plus an offset. */
static dim3 thread_at(uint32_t i)
{
    if (order_seed != 0) {
        uint32_t step = order_seed % thread_count | 1, a, b;
        do {
            step += 2;
            for (a = step, b = thread_count; b != 0;) {
                const uint32_t rest = a % b;
                a = b;
                b = rest;
            }
        } while (a != 1);
        i = (uint32_t)(((uint64_t)i * step + order_seed) % thread_count);
    }
    const dim3 d = shim_block_dim;
    return (dim3){i % d.x, i / d.x % d.y, i / (d.x * d.y)};
}

/* A fiber's life: threads of this block until none is left to start, then the next block's. */
static void run_threads(void)
{
    for (;;) {
        while (next_thread < thread_count) {
            shim_thread = current->thread = thread_at(next_thread++);
            kernel_thread(kernel_args);
        }
        current->waits = false;
        swapcontext(&current->context, &scheduler);
    }
}

static void resume(fiber *f)
{
    if (f->stack == NULL) {
        f->stack = malloc(STACK_BYTES);
        if (f->stack == NULL || getcontext(&f->context) != 0)
            die("no memory for a thread");
        f->context.uc_stack.ss_sp = f->stack;
        f->context.uc_stack.ss_size = STACK_BYTES;
        f->context.uc_link = NULL;
        makecontext(&f->context, run_threads, 0);
    }
    current = f;
    shim_thread = f->thread;
    swapcontext(&scheduler, &f->context);
}

void shim_barrier(void)
{
    current->waits = true;
    swapcontext(&current->context, &scheduler);
}

static void run_block(void)
{
    uint32_t count = 0, waiting = 0;
    for (next_thread = 0; next_thread < thread_count; count++) {
        resume(&fibers[count]);
        waiting += fibers[count].waits;
    }
    while (waiting > 0) {
        if (waiting != thread_count)
            die("__syncthreads() that not all threads reach");
        waiting = 0;
        for (uint32_t i = 0; i < thread_count; i++) {
            fibers[i].waits = false;
            resume(&fibers[i]);
            waiting += fibers[i].waits;
        }
    }
}

void shim_launch(const char *name, void (*thread)(const void *), const void *args, dim3 grid, dim3 block)
{
    kernel_name = name;
    kernel_thread = thread;
    kernel_args = args;
    shim_block_dim = block;
    shim_grid_dim = grid;
    thread_count = block.x * block.y * block.z;
    if (thread_count == 0 || thread_count > SHIM_THREADS_MAX)
        die("a block has 1 to 1024 threads");
    for (uint32_t z = 0; z < grid.z; z++)
        for (uint32_t y = 0; y < grid.y; y++)
            for (uint32_t x = 0; x < grid.x; x++) {
                shim_block = (dim3){x, y, z};
                run_block();
            }
}
