#include "data/ingest/leak_audit.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "data/ingest/values/parse.h"
#include "data/random.h"

namespace cllm {
namespace {

constexpr int32_t kAmbiguous = -1, kNobody = -1;
constexpr size_t kLongestTitle = 12, kShortestTitle = 2;  // words; of one word titles are words of any text
constexpr size_t kShingle = 4;                            // words that follow each other
constexpr uint64_t kKeepOneOf = 4;                        // shingles, the same ones everywhere
constexpr size_t kFewestShingles = 3;
constexpr size_t kExamples = 3;

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

uint64_t hash_of(std::string_view word) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a over letters in lower case
  for (const char c : word) {
    const auto lower = static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    hash = (hash ^ lower) * 0x100000001b3;
  }
  return hash;
}

std::vector<uint64_t> hashed_words(std::string_view text) {
  std::vector<uint64_t> words;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && is_word_byte(text[end])) ++end;
    if (end > begin) words.push_back(hash_of(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return words;
}

/// Of the first 1, 2, ... words on, one hash behind the other.
uint64_t joined(uint64_t hash, uint64_t word) { return mix64(hash * 31 + word); }

/// A fixed choice of the text's shingles, each once.
std::unordered_set<uint64_t> shingles_of(std::string_view text) {
  const std::vector<uint64_t> words = hashed_words(text);
  std::unordered_set<uint64_t> out;
  for (size_t n = 0; n + kShingle <= words.size(); ++n) {
    uint64_t hash = 0;
    for (size_t k = 0; k < kShingle; ++k) hash = joined(hash, words[n + k]);
    if (hash % kKeepOneOf == 0) out.insert(hash);
  }
  return out;
}

/// Calls with what stands between white space, without punctuation around it: what an id may be.
template <typename Call>
void for_each_name(std::string_view text, const Call& call) {
  constexpr std::string_view kSpace = " \t\r\n", kAround = ".,;:!?()[]{}\"'<>#";
  for (size_t begin = text.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    std::string_view name = text.substr(begin, end - begin);
    const size_t first = std::min(name.find_first_not_of(kAround), name.size());
    name.remove_prefix(first);
    while (!name.empty() && kAround.find(name.back()) != std::string_view::npos) name.remove_suffix(1);
    if (!name.empty()) call(name);
    begin = text.find_first_not_of(kSpace, end);
  }
}

/// So many or more have a probability below 1 in 1,000 where `mean` are expected (Poisson).
bool is_unusual(uint64_t found, double mean) {
  if (found == 0) return false;
  double term = std::exp(-mean), below = 0;
  for (uint64_t n = 0; n < found; ++n) {
    below += term;
    term *= mean / static_cast<double>(n + 1);
  }
  return 1 - below < 1e-3 || (mean > 500 && static_cast<double>(found) > mean + 4 * std::sqrt(mean));
}

}  // namespace

LeakAudit::LeakAudit(const IngestFolder& work, const InternalIds& ids, std::span<const PackedPair> held_out)
    : work_(work), ids_(ids), held_out_(held_out), held_of_user_(ids.num_users), held_of_item_(ids.num_items),
      raw_users_(ids.num_users), raw_items_(ids.num_items) {
  constexpr size_t kEntry = 64;  // of a hash map, with its node
  most_shingles_ = work.options.memory_bytes / 32 / kEntry;
  for (const PackedPair pair : held_out) {
    ++held_of_user_[packed_user(pair)];
    ++held_of_item_[packed_item(pair)];
  }
  const auto invert = [](const std::vector<uint32_t>& internal, std::vector<uint32_t>& raw) {
    for (uint32_t n = 0; n < internal.size(); ++n) {
      if (internal[n] != kDropped) raw[internal[n]] = n;
    }
  };
  invert(ids.users, raw_users_);
  invert(ids.items, raw_items_);
}

bool LeakAudit::is_held_out(int32_t user, int32_t item) const {
  const auto contains = [&](Part part) {
    return std::binary_search(held_out_.begin(), held_out_.end(),
                              pack(static_cast<uint32_t>(user), part, static_cast<uint32_t>(item)));
  };
  return contains(Part::kValidation) || contains(Part::kTest);
}

void LeakAudit::Alike::add(int32_t user, const std::unordered_set<uint64_t>& of_text, size_t most) {
  if (of_text.size() < kFewestShingles || shingles.size() + of_text.size() > most) return;
  for (const uint64_t shingle : of_text) shingles.emplace(shingle, static_cast<uint32_t>(sizes.size()));
  sizes.push_back(static_cast<uint32_t>(of_text.size()));
  users.push_back(user);
}

uint32_t LeakAudit::Alike::count(int32_t user, const std::unordered_set<uint64_t>& of_text) const {
  std::unordered_map<uint32_t, uint32_t> shared;
  for (const uint64_t shingle : of_text) {
    constexpr int kMost = 100;  // texts that share one: a phrase of the form, no copy
    const auto [first, last] = shingles.equal_range(shingle);
    int seen = 0;
    for (auto at = first; at != last && ++seen <= kMost; ++at) shared[at->second] += users[at->second] != user;
  }
  uint32_t alike = 0;
  for (const auto& [text, count] : shared)
    alike += count * 2 >= std::max<uint32_t>(sizes[text], 2 * kFewestShingles) ? 1 : 0;
  return alike;
}

void LeakAudit::held_out_text(std::string_view text) {
  held_out_texts_.add(kNobody, shingles_of(text), most_shingles_);
}

uint64_t LeakAudit::learn_titles(TextSpool& spool, const std::vector<std::string>& kinds) {
  TextEntry entry;
  uint64_t bytes = 0;
  for (spool.rewind(); spool.next(entry);) {
    bytes += entry.text.size();
    if (!held_out_texts_.sizes.empty() && entry.user >= 0 && entry.item >= 0)
      trained_texts_.add(entry.user, shingles_of(entry.text), most_shingles_);
    if (titles_.size() >= most_shingles_) continue;
    const std::string& kind = kinds[static_cast<size_t>(entry.kind)];
    const bool named = kind.find("title") != std::string::npos || kind.find("name") != std::string::npos;
    if (entry.user >= 0 || entry.item < 0 || (!named && kind != "content")) continue;
    const std::vector<uint64_t> words = hashed_words(entry.text);
    if (words.size() < kShortestTitle || words.size() > kLongestTitle) continue;
    uint64_t hash = 0;
    for (const uint64_t word : words) hash = joined(hash, word);
    const auto [at, added] = titles_.try_emplace(hash, entry.item);
    if (!added && at->second != entry.item) at->second = kAmbiguous;
    longest_title_ = std::max(longest_title_, words.size());
  }
  return bytes;
}

std::string LeakAudit::example_of(int32_t user, int32_t item, std::string_view text) const {
  return "user " + quoted(work_.users.name(raw_users_[static_cast<size_t>(user)])) + ", item " +
         quoted(work_.items.name(raw_items_[static_cast<size_t>(item)])) + ": " + quoted(text);
}

void LeakAudit::add(Tally& tally, bool found, double by_chance, const std::string& example) {
  ++tally.looked_at;
  tally.by_chance += std::min(1.0, by_chance);
  if (!found) return;
  ++tally.found;
  if (tally.examples.size() < kExamples) tally.examples.push_back(example);
}

/// Of a user's text: items that are held out from him; of an item's: users from whom it is held out.
void LeakAudit::check_ids(const TextEntry& entry) {
  const bool of_user = entry.user >= 0;
  const IdMap& names = of_user ? work_.items : work_.users;
  const auto& internal = of_user ? ids_.items : ids_.users;
  std::unordered_set<int32_t> named;
  for_each_name(entry.text, [&](std::string_view name) {
    const auto raw = names.find(name);
    if (raw && internal[*raw] != kDropped) named.insert(static_cast<int32_t>(internal[*raw]));
  });
  named.erase(of_user ? entry.item : entry.user);
  double by_chance = 0;
  int32_t which = -1;
  for (const int32_t id : named) {
    const auto& counts = of_user ? held_of_item_ : held_of_user_;
    by_chance += counts[static_cast<size_t>(id)] / static_cast<double>(of_user ? ids_.num_users : ids_.num_items);
    if (of_user ? is_held_out(entry.user, id) : is_held_out(id, entry.item)) which = id;
  }
  const std::string example = which < 0 ? ""
                              : of_user ? example_of(entry.user, which, entry.text)
                                        : example_of(which, entry.item, entry.text);
  add(of_user ? item_ids_ : user_ids_, which >= 0, by_chance, example);
}

void LeakAudit::check_titles(const TextEntry& entry) {
  const std::vector<uint64_t> words = hashed_words(entry.text);
  std::unordered_set<int32_t> named;
  for (size_t begin = 0; begin < words.size(); ++begin) {
    uint64_t hash = 0;
    for (size_t n = 0; n < longest_title_ && begin + n < words.size(); ++n) {
      hash = joined(hash, words[begin + n]);
      const auto title = n + 1 < kShortestTitle ? titles_.end() : titles_.find(hash);
      if (title != titles_.end() && title->second != kAmbiguous) named.insert(title->second);
    }
  }
  named.erase(entry.item);
  double by_chance = 0;
  int32_t which = -1;
  for (const int32_t item : named) {
    by_chance += held_of_item_[static_cast<size_t>(item)] / static_cast<double>(ids_.num_users);
    if (is_held_out(entry.user, item)) which = item;
  }
  add(titles_found_, which >= 0, by_chance, which < 0 ? "" : example_of(entry.user, which, entry.text));
}

/// Does it share half of a held-out text's shingles? What at least three other users wrote alike is a form: as many
/// held-out texts are like it as their share of all says. What one or two wrote alike may be copies, unless forms are
/// what there is (run()).
void LeakAudit::check_repeated(const TextEntry& entry) {
  const auto shingles = shingles_of(entry.text);
  const bool found = held_out_texts_.count(kNobody - 1, shingles) > 0, of_pair = entry.user >= 0 && entry.item >= 0;
  if (!of_pair) return add(repeated_alone_, found, 0, cllm::quoted(entry.text));
  constexpr uint32_t kForm = 3;
  const uint32_t alike = trained_texts_.count(entry.user, shingles);
  const double share = static_cast<double>(held_out_texts_.sizes.size()) /
                       static_cast<double>(std::max<size_t>(1, trained_texts_.sizes.size()));
  add(repeated_, found, alike >= kForm ? alike * share : 0, example_of(entry.user, entry.item, entry.text));
  (alike >= kForm ? forms_ : by_chance_of_few_) += alike >= kForm ? 1 : std::min(1.0, alike * share);
}

std::vector<LeakCheck> LeakAudit::run(TextSpool& spool, const std::vector<std::string>& kinds) {
  std::vector<LeakCheck> out;
  if (held_out_.empty() || spool.size() == 0) return out;
  const uint64_t one_of = 1 + learn_titles(spool, kinds) / kMostBytes;
  TextEntry entry;
  uint64_t number = 0;
  for (spool.rewind(); spool.next(entry);) {
    if (number++ % one_of != 0) continue;
    const bool any = entry.user >= 0 ? held_of_user_[static_cast<size_t>(entry.user)] > 0
                                     : held_of_item_[static_cast<size_t>(entry.item)] > 0;
    if (any) check_ids(entry);
    if (any && entry.user >= 0 && !titles_.empty()) check_titles(entry);
    if (!held_out_texts_.sizes.empty()) check_repeated(entry);
  }
  constexpr double kMany = 0.2;
  if (forms_ > kMany * static_cast<double>(repeated_.looked_at)) repeated_.by_chance += by_chance_of_few_;
  const auto report = [&](const char* what, Tally& tally) {
    if (is_unusual(tally.found, tally.by_chance))
      out.push_back({what, tally.found, tally.looked_at, tally.by_chance, std::move(tally.examples)});
  };
  report("texts of a user with the id of an item held out from him", item_ids_);
  report("texts of an item with the id of a user from whom it is held out", user_ids_);
  report("texts of a user with the title of an item held out from him", titles_found_);
  report("texts that repeat the text of a held-out pair", repeated_);
  report("texts of a user or an item that repeat that of a held-out pair", repeated_alone_);
  return out;
}

}  // namespace cllm
