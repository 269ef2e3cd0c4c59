#pragma once

/// Compiles a loop for several instruction sets; the loader picks the widest that the machine has, so that the build
/// itself stays portable. Loops with a sqrt are only vectorised with -fno-math-errno (set for the whole project).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define CLLM_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLLM_VECTOR_CLONES
#endif

/// For the loop bodies that the clones share: they must be inlined to be compiled for the clone's instruction set.
#define CLLM_INLINE inline __attribute__((always_inline))
