// Amazon reviews + metadata (2014, 2018, 2023) and the Yelp academic data set: JSON lines whose reviews are
// interactions and texts at once.

#include "data/ingest/source.h"

namespace cllm {
namespace {

const std::vector<std::string> kJson = {".json", ".jsonl"};

class ReviewSite : public Source {
 public:
  ReviewSite(InteractionColumns interaction, TextColumn review, TextTable content)
      : interaction_(std::move(interaction)), review_(std::move(review)), content_(std::move(content)) {}

  std::vector<std::filesystem::path> reviews, metadata;

  void read_interactions(RowSink& sink, Intake& intake) override {
    for (const auto& file : reviews) read_interaction_table(file, interaction_, sink, intake);
  }
  void read_texts(RowSink& sink, Intake& intake) override {
    for (const auto& file : metadata) read_text_table(file, content_, sink, intake);
    for (const auto& file : reviews)
      read_text_table(file, {interaction_.user, interaction_.item, {review_}}, sink, intake);
  }
  std::vector<std::filesystem::path> interaction_files() const override { return reviews; }
  std::vector<std::filesystem::path> text_files() const override {
    std::vector<std::filesystem::path> files = metadata;
    files.insert(files.end(), reviews.begin(), reviews.end());
    return files;
  }

 private:
  InteractionColumns interaction_;
  TextColumn review_;
  TextTable content_;
};

bool is_metadata(std::string_view stem) { return stem.starts_with("meta"); }
bool is_amazon_review(std::string_view stem) { return !is_metadata(stem) && stem != "corpus"; }
bool is_yelp_review(std::string_view stem) { return stem.ends_with("review"); }
bool is_yelp_business(std::string_view stem) { return stem.ends_with("business"); }

}  // namespace

std::unique_ptr<Source> open_amazon(const std::filesystem::path& dir) {
  const std::vector<std::string> product = {"parent_asin",
                                            "asin"};  // 2023: variants of a product share the parent's metadata
  const InteractionColumns interaction = {
      {"reviewerID", "user_id"}, product, {"unixReviewTime", "timestamp"}, {"overall", "rating"}};
  const TextTable content = {{},
                             product,
                             {{"title", {"title"}},
                              {"brand", {"brand", "store"}},
                              {"categories", {"categories", "category"}},
                              {"description", {"description"}},
                              {"features", {"features", "feature"}}}};
  auto source = std::make_unique<ReviewSite>(interaction, TextColumn{"review", {"reviewText", "text"}}, content);
  source->reviews = files_named(dir, kJson, is_amazon_review);
  source->metadata = files_named(dir, kJson, is_metadata);
  if (source->reviews.empty()) return nullptr;
  return source;
}

std::unique_ptr<Source> open_yelp(const std::filesystem::path& dir) {
  const std::vector<std::string> business = {"business_id"};
  const TextTable content = {{}, business, {{"title", {"name"}}, {"categories", {"categories"}}}};
  auto source = std::make_unique<ReviewSite>(InteractionColumns{{"user_id"}, business, {"date"}, {"stars"}},
                                             TextColumn{"review", {"text"}}, content);
  source->reviews = files_named(dir, kJson, is_yelp_review);
  source->metadata = files_named(dir, kJson, is_yelp_business);
  if (source->reviews.empty()) return nullptr;
  return source;
}

}  // namespace cllm
