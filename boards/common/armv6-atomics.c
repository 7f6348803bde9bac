/* What the armv6 binary changes atomically. It is Thumb code, and ARMv6 has the instructions for that in ARM code only, so
   the compiler calls functions by these names (LLVM's "Atomics", libcalls __sync_*). Here the C compiler writes each out
   as ARM code with its barriers; boards/build compiles this file for the Pi's ARM1176 with -marm. An operation that is
   missing does not link. The 8-byte ones need the pair of registers an ARM1176 (ARMv6K) can load and store exclusively. */
#include <stdint.h>

#define CALLED(name, bytes) __asm__("__sync_" #name "_" #bytes)

#define CHANGE(name, builtin, type, bytes)                              \
  type name##_##bytes(volatile type *at, type by) CALLED(name, bytes);  \
  type name##_##bytes(volatile type *at, type by) { return builtin(at, by, __ATOMIC_SEQ_CST); }

#define COMPARE(type, bytes)                                                                                   \
  type compare_##bytes(volatile type *at, type expected, type wanted) CALLED(val_compare_and_swap, bytes);     \
  type compare_##bytes(volatile type *at, type expected, type wanted) {                                        \
    __atomic_compare_exchange_n(at, &expected, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                 \
    return expected; /* what was there: the builtin puts it here where it differs */                           \
  }

#define ALL(type, bytes)                                      \
  CHANGE(fetch_and_add, __atomic_fetch_add, type, bytes)      \
  CHANGE(fetch_and_sub, __atomic_fetch_sub, type, bytes)      \
  CHANGE(fetch_and_and, __atomic_fetch_and, type, bytes)      \
  CHANGE(fetch_and_or, __atomic_fetch_or, type, bytes)        \
  CHANGE(fetch_and_xor, __atomic_fetch_xor, type, bytes)      \
  CHANGE(lock_test_and_set, __atomic_exchange_n, type, bytes) \
  COMPARE(type, bytes)

ALL(uint8_t, 1)
ALL(uint16_t, 2)
ALL(uint32_t, 4)
ALL(uint64_t, 8)

void synchronize(void) __asm__("__sync_synchronize");
void synchronize(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
