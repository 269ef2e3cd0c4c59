#include "launch/supervision/restart_guard.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/failures/errors.h"

namespace cllm {

void RestartGuard::count_start(int64_t newest_step, int64_t max_restarts) const {
  std::ifstream in(file_);
  const auto known = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  const auto number = [&](const char* key, int64_t otherwise) {  // the file may be damaged: then the count begins anew
    return known.is_object() && known.contains(key) && known[key].is_number_integer() ? known[key].get<int64_t>()
                                                                                      : otherwise;
  };
  const int64_t starts =
      number("newest_step", -2) == newest_step ? number("starts", 0) : 0;  // so far, since that commit
  if (max_restarts > 0 && starts >= max_restarts) {
    throw NoProgressError("no progress: started " + std::to_string(starts) + " times without a new checkpoint after " +
                          (newest_step < 0 ? std::string("the start") : "step " + std::to_string(newest_step)) +
                          "; see train.log, then remove " + file_.string() + " or set run.max_restarts=0");
  }
  std::ofstream(file_, std::ios::trunc) << nlohmann::json{{"newest_step", newest_step}, {"starts", starts + 1}}.dump()
                                        << '\n';
}

void RestartGuard::forgive() const {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

}  // namespace cllm
