#pragma once

namespace cllm {

/// Bounds what libraries keep for later, so that a process stays at what the plan says over runs of any length:
///  * oneDNN's compiled products (bf16 on a CPU), the last recently used of them: of 1,024 by default, some 0.3 MiB
///  each.
///    A step meets about 20, and batches few sizes (model/nn/few_sizes.h).
///  * malloc's arenas. Every thread would have its own, whose free memory no other thread is given.
///  * malloc's holes. Left alone, malloc keeps blocks of up to 32 MiB in its heap once one of their size was freed, and
///    the holes between them grow with the order of threads (by a fifth of a run of 270 MiB): a block of 8 MiB or more
///    is always the system's and goes back to it. Smaller bounds cost time: 4 MiB a sixth of a C-step of a small model.
/// What the environment says already stays. Call it before the first product and before the first thread.
void bound_process_memory();

}  // namespace cllm
