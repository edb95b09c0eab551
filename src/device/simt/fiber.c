#include "device/simt/fiber.h"

#include <stdint.h>
#include <string.h>

/* The sanitizers' own names. NOLINTBEGIN(bugprone-reserved-identifier) */
#if SIMT_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old, size_t *size_old);
#endif
#if SIMT_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define NO_SYNC 1u
#endif
/* NOLINTEND(bugprone-reserved-identifier) */

#if defined(__x86_64__)

/* Saves what the calling convention says that a function keeps, changes the stack, and takes the same from
   there. */
__asm__(".text\n"
        ".hidden simt_switch_stack\n"
        ".globl simt_switch_stack\n"
        ".type simt_switch_stack, @function\n"
        "simt_switch_stack:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size simt_switch_stack, .-simt_switch_stack\n");

static void *first_frame(char *stack, void (*entry)(void)) {
    uintptr_t top = (uintptr_t)(stack + SIMT_STACK_BYTES) & ~(uintptr_t)63;
    void **at = (void **)top;
    *--at = NULL; /* entry() has no caller; the stack is aligned as after a call */
    *--at = (void *)(uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--at = NULL;
    return at;
}

#elif defined(__aarch64__)

__asm__(".text\n"
        ".hidden simt_switch_stack\n"
        ".globl simt_switch_stack\n"
        ".type simt_switch_stack, %function\n"
        "simt_switch_stack:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x2, sp\n"
        "    str x2, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size simt_switch_stack, .-simt_switch_stack\n");

static void *first_frame(char *stack, void (*entry)(void)) {
    uintptr_t top = (uintptr_t)(stack + SIMT_STACK_BYTES) & ~(uintptr_t)63;
    void **at = (void **)(top - 160);
    memset(at, 0, 160);
    at[11] = (void *)(uintptr_t)entry; /* x30: where ret goes */
    return at;
}

#else
#error "the emulator switches stacks on x86-64 and aarch64"
#endif

void simt_fiber_adopt(simt_fiber *f) {
    *f = (simt_fiber){0};
#if SIMT_TSAN
    f->sanitizer = __tsan_get_current_fiber();
#endif
}

void simt_fiber_init(simt_fiber *f, char *stack, void (*entry)(void)) {
    *f = (simt_fiber){.stack = stack, .stack_bytes = SIMT_STACK_BYTES};
    f->stack_pointer = first_frame(stack, entry);
#if SIMT_TSAN
    f->sanitizer = __tsan_create_fiber(0);
#endif
}

void simt_fiber_destroy(simt_fiber *f) {
#if SIMT_TSAN
    if (f->sanitizer)
        __tsan_destroy_fiber(f->sanitizer);
#endif
    *f = (simt_fiber){0};
}

#if SIMT_ASAN
/* The fiber that was left last. The stack of an adopted one is known only after it was left. */
static __thread simt_fiber *left;

/* Where the stack of the one that was left lies, which the sanitizer is told when it is come back to. */
static void learn(void *fake) {
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fake, &bottom, &bytes);
    if (!left->stack) {
        left->stack = (char *)(uintptr_t)bottom;
        left->stack_bytes = bytes;
    }
}
#endif

#if SIMT_ASAN || SIMT_TSAN
void simt_fiber_switch(simt_fiber *from, simt_fiber *to) {
#if SIMT_ASAN
    left = from;
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->stack_bytes);
#endif
#if SIMT_TSAN
    __tsan_switch_to_fiber(to->sanitizer, NO_SYNC);
#endif
    simt_switch_stack(&from->stack_pointer, to->stack_pointer);
#if SIMT_ASAN
    learn(from->fake);
#endif
}

void simt_fiber_entered(void) {
#if SIMT_ASAN
    learn(NULL);
#endif
}

void simt_fiber_release(void *sync) {
#if SIMT_TSAN
    __tsan_release(sync);
#else
    (void)sync;
#endif
}

void simt_fiber_acquire(void *sync) {
#if SIMT_TSAN
    __tsan_acquire(sync);
#else
    (void)sync;
#endif
}
#endif
