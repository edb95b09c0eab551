/* Stacks that are switched between within one thread. Sanitizers are told of every switch. */
#ifndef MS_DEVICE_SIMT_FIBER_H
#define MS_DEVICE_SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_ASAN 1
#endif
#endif
#ifndef SIMT_ASAN
#define SIMT_ASAN 0
#endif

/* Set by the build: the emulator itself is not instrumented for threads, what it runs is. */
#ifndef SIMT_TSAN
#define SIMT_TSAN 0
#endif

#define SIMT_STACK_BYTES ((size_t)(SIMT_ASAN ? 256 : 64) << 10)

typedef struct simt_fiber {
    void *stack_pointer;
    char *stack;
    void *sanitizer; /* the thread sanitizer's fiber */
    void *fake;      /* the address sanitizer's shadow of the stack */
    size_t stack_bytes;
} simt_fiber;

/* The stack that the caller runs on, so that it can be switched back to. */
void simt_fiber_adopt(simt_fiber *fiber);
/* A fiber that begins with entry() on the given stack, of SIMT_STACK_BYTES. entry() never returns. */
void simt_fiber_init(simt_fiber *fiber, char *stack, void (*entry)(void));
void simt_fiber_destroy(simt_fiber *fiber);

/* Switching, simt_fiber_switch(from, to); the first thing that entry() does; and that what came before a
   release() is ordered before what follows an acquire() of the same address. Nothing but a change of stacks
   where no sanitizer asks. */
void simt_switch_stack(void **save, void *to);
#if SIMT_ASAN || SIMT_TSAN
void simt_fiber_switch(simt_fiber *from, simt_fiber *to);
void simt_fiber_entered(void);
void simt_fiber_release(void *sync);
void simt_fiber_acquire(void *sync);
#else
static inline void simt_fiber_switch(simt_fiber *from, simt_fiber *to) {
    simt_switch_stack(&from->stack_pointer, to->stack_pointer);
}
static inline void simt_fiber_entered(void) {}
static inline void simt_fiber_release(void *sync) {
    (void)sync;
}
static inline void simt_fiber_acquire(void *sync) {
    (void)sync;
}
#endif

#endif
