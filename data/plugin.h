#pragma once

#include <string>

namespace cllm {

/// Opens the module `name` (a file) that lies beside the running program, or one or two folders above, as tests have
/// it; it stays open. Null if there is none, or, with why in `problem`, if it cannot be opened. `isolated`: its
/// libraries find their own symbols first, where they have the names of others in this process.
void* open_plugin(const std::string& name, bool isolated, std::string& problem);

}  // namespace cllm
