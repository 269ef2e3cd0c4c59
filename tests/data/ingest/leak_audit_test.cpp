// The audit of held-out data in the texts that are trained on: what is planted is found, what is there by chance is
// not.

#include "data/ingest/leak_audit.h"

#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kAuditUsers = 40, kAuditItems = 30;

std::string user_name(int n) { return "reader" + std::to_string(n); }
std::string item_name(int n) { return "B00" + std::to_string(100 + n); }
int bought(int user, int k) { return (7 * user + k) % kAuditItems; }

/// A review that no other text repeats.
std::string own_words(int user, int k) {
  std::string out;
  for (int n = 0; n < 30; ++n) out += "w" + std::to_string((user * 31 + k * 7 + n * n * (user + k + 3)) % 9973) + " ";
  return out;
}

/// 40 users with six items each, the last of them the test, the one before the validation; a title per item, a
/// biography per user, a review per pair. `change` may replace a text: of what, user, k or item.
PrepareReport audit(const Scratch& scratch, const std::function<std::string(const std::string&, int, int)>& change,
                    bool strict = false) {
  std::string interactions = "user\titem\ttime\n", users = "user\ttext\n", items = "item\ttitle\n";
  std::string texts = "user\titem\ttext\n";
  const auto text = [&](const char* what, int a, int b, const std::string& usual) {
    const std::string changed = change(what, a, b);
    return changed.empty() ? usual : changed;
  };
  for (int item = 0; item < kAuditItems; ++item)
    items += item_name(item) + "\t" + text("title", item, 0, "The Shining Thing Number" + std::to_string(item)) + "\n";
  for (int user = 0; user < kAuditUsers; ++user) {
    users += user_name(user) + "\t" + text("biography", user, 0, "a reader of many books") + "\n";
    for (int k = 0; k < 6; ++k) {
      interactions += user_name(user) + "\t" + item_name(bought(user, k)) + "\t" + std::to_string(k) + "\n";
      texts += user_name(user) + "\t" + item_name(bought(user, k)) + "\t" +
               text("review", user, k, own_words(user, k)) + "\n";
    }
  }
  for (const auto& [name, content] : {std::pair{"interactions.tsv", interactions},
                                      {"users.tsv", users},
                                      {"items.tsv", items},
                                      {"texts.tsv", texts}}) {
    scratch.write(name, content);
  }
  PrepareOptions options = scratch.options();
  options.split = SplitMethod::kLeaveLastOut;
  options.overwrite = true;
  options.strict = strict;
  return prepare(options);
}

std::string nothing_else(const std::string&, int, int) { return ""; }

TEST(LeakAudit, finds_nothing_in_texts_of_their_own) {
  const Scratch scratch;
  const PrepareReport report = audit(scratch, nothing_else, true);
  EXPECT_THAT(report.leaks, IsEmpty());
  EXPECT_THAT(describe(report), Not(HasSubstr("held-out data")));
}

TEST(LeakAudit, finds_ids_of_held_out_items_in_biographies) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int user, int) {
    return what == "biography" && user < 5 ? "bought " + item_name(bought(user, 5)) + ", soon" : std::string();
  };
  const PrepareReport report = audit(scratch, plant);
  ASSERT_EQ(report.leaks.size(), 1u);
  EXPECT_EQ(report.leaks[0].what, "texts of a user with the id of an item held out from him");
  EXPECT_EQ(report.leaks[0].found, 5u);
  EXPECT_LT(report.leaks[0].by_chance, 1);
  EXPECT_THAT(report.leaks[0].examples[0], HasSubstr("user 'reader0', item 'B00105': 'bought B00105, soon'"));
  EXPECT_THAT(describe(report), HasSubstr("WARNING: held-out data in the texts that are trained on"));
  EXPECT_THAT(error_of([&] { audit(scratch, plant, true); }),
              HasSubstr("5 texts of a user with the id of an item held out from him, such as user 'reader0'"));
}

TEST(LeakAudit, ids_that_everybody_names_are_chance) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int, int) {
    return what == "biography" ? "all like " + item_name(3) + " and " + item_name(4) : std::string();
  };
  EXPECT_THAT(audit(scratch, plant).leaks, IsEmpty());
}

TEST(LeakAudit, finds_users_in_the_texts_of_items_that_are_held_out_from_them) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int item, int) {
    for (int user = 0; user < 4 && what == "title"; ++user)
      if (bought(user, 5) == item) return "recommended by (" + user_name(user) + ") to all";
    return std::string();
  };
  const PrepareReport report = audit(scratch, plant);
  ASSERT_EQ(report.leaks.size(), 1u);
  EXPECT_EQ(report.leaks[0].what, "texts of an item with the id of a user from whom it is held out");
  EXPECT_EQ(report.leaks[0].found, 4u);
}

TEST(LeakAudit, finds_titles_of_held_out_items_in_reviews_of_others) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int user, int k) {
    return what == "review" && k == 0 && user < 6
               ? "better is: THE SHINING thing, number" + std::to_string(bought(user, 5)) + "! Truly."
               : std::string();
  };
  const PrepareReport report = audit(scratch, plant);
  ASSERT_EQ(report.leaks.size(), 1u);
  EXPECT_EQ(report.leaks[0].what, "texts of a user with the title of an item held out from him");
  EXPECT_EQ(report.leaks[0].found, 6u);
}

TEST(LeakAudit, finds_held_out_reviews_that_stand_under_another_pair_too) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int user, int k) {
    return what == "review" && k == 1 && user < 3 ? "Edited. " + own_words(user, 5) + " thanks" : std::string();
  };
  const PrepareReport report = audit(scratch, plant);
  ASSERT_EQ(report.leaks.size(), 1u);
  EXPECT_EQ(report.leaks[0].what, "texts that repeat the text of a held-out pair");
  EXPECT_EQ(report.leaks[0].found, 3u);
}

/// What a form writes: everybody's reviews of the same kind are alike.
std::string form(int user, int k) {
  return "I applied as a clerk of kind " + std::to_string((user + k) % 3) +
         " because I like to count things and to write lists of them, and it is close to where I live";
}

TEST(LeakAudit, texts_that_a_form_wrote_are_no_repetition_but_in_a_biography_they_are) {
  const Scratch scratch;
  const auto forms = [](const std::string& what, int user, int k) {
    return what == "review" ? form(user, k) : std::string();
  };
  EXPECT_THAT(audit(scratch, forms, true).leaks, IsEmpty());
  const auto plant = [](const std::string& what, int user, int k) {
    return what == "review" || (what == "biography" && user == 7) ? form(user, what == "review" ? k : 5)
                                                                  : std::string();
  };
  const PrepareReport report = audit(scratch, plant);
  ASSERT_EQ(report.leaks.size(), 1u);
  EXPECT_EQ(report.leaks[0].what, "texts of a user or an item that repeat that of a held-out pair");
  EXPECT_EQ(report.leaks[0].found, 1u);
}

TEST(LeakAudit, one_copy_among_texts_of_their_own_is_found_whoever_has_it) {
  for (const bool own : {true, false}) {
    const Scratch scratch;
    const auto plant = [&](const std::string& what, int user, int k) {
      return what == "review" && k == 1 && user == 4 ? own_words(own ? 4 : 9, 5) : std::string();
    };
    const PrepareReport report = audit(scratch, plant);
    ASSERT_EQ(report.leaks.size(), 1u) << own;
    EXPECT_EQ(report.leaks[0].found, 1u);
  }
}

TEST(LeakAudit, short_texts_that_many_write_are_no_repetition) {
  const Scratch scratch;
  const auto plant = [](const std::string& what, int, int) {
    return what == "review" ? std::string("Great product, works well for me") : std::string();
  };
  EXPECT_THAT(audit(scratch, plant).leaks, IsEmpty());
}

}  // namespace
}  // namespace cllm::testing
